import { parseCount } from './key-values.ts';
import { checkName } from './name-check.ts';
import type { VerbSpec } from './verb.ts';

export const rollback: VerbSpec = {
  name: 'rollback',
  summary: 'Give all traffic back to the version before',
  about:
    'A rollout under way is aborted. A version that is still warm answers within two seconds; another is loaded first.',
  examples: [
    ['slipway rollback churn', 'the version that served before'],
    ['slipway rollback churn --to 2 --reason "2 was right"', 'that one'],
  ],
  args: [{ name: 'endpoint', help: 'its name', completes: 'endpoint' }],
  options: [
    { flags: '--to <version>', help: 'another version than the one before' },
    { flags: '--reason <text>', help: 'why, for the record' },
  ],
  changes: true,
  async run(call) {
    const client = await call.client();
    const endpoint = checkName('endpoint', call.args[0]!);
    const to = call.options.text('to');
    const reason = call.options.text('reason');
    const got = await client.rollback(
      endpoint,
      { ...(to === undefined ? {} : { to: parseCount('--to', to) }), ...(reason === undefined ? {} : { reason }) },
      { dryRun: call.dryRun, signal: call.signal },
    );
    call.out.result('rollback', { ...got, dryRun: call.dryRun }, () =>
      call.dryRun
        ? `${endpoint} would go back to version ${got.version}. Nothing was changed.`
        : got.isEntered
          ? `${endpoint} goes back to version ${got.version}\nNext: slipway endpoints show ${endpoint}`
          : `${endpoint} goes back to version ${got.version}. The database is down: history has it when it is back.\nNext: slipway logs`,
    );
  },
};
