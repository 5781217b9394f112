import type { LiveChange } from '../../sdk/src/client.ts';
import { LIST_OPTIONS, listing } from './list-options.ts';
import { checkName } from './name-check.ts';
import { percent } from './rollout-text.ts';
import { cleanLine, type Paint, table } from './terminal.ts';
import { readTime } from './time-options.ts';
import type { VerbSpec } from './verb.ts';

export const history: VerbSpec = {
  name: 'history',
  summary: 'What was live when, by whom and why',
  examples: [
    ['slipway history churn', 'every change of what answered'],
    ['slipway history churn --at 2026-10-01T12:00Z', 'what answered then, down to weights and digests'],
    ['slipway history churn --at 1h', 'what answered an hour ago'],
  ],
  args: [{ name: 'endpoint', help: 'its name', completes: 'endpoint' }],
  options: [
    { flags: '--at <time>', help: 'what held at that time only: 1h ago, or 2026-01-31T12:00Z' },
    ...LIST_OPTIONS,
  ],
  async run(call) {
    const client = await call.client();
    const endpoint = checkName('endpoint', call.args[0]!);
    const at = call.options.text('at');
    const items = await listing(call, (options) =>
      client.history(endpoint, { ...options, ...(at === undefined ? {} : { at: readTime('--at', at, Date.now()) }) }),
    );
    call.out.result('history', items, () => historyText(items, call.out.paint));
  },
};

function historyText(items: readonly LiveChange[], paint: Paint): string {
  if (items.length === 0) return 'Nothing is known of that time.';
  return table(
    [{ title: 'From' }, { title: 'Live' }, { title: 'Digest' }, { title: 'By' }, { title: 'Why' }],
    items.map((one) => [
      one.at,
      liveText(one),
      one.live?.target?.digest.slice(0, 19) ?? '',
      cleanLine(one.actor),
      cleanLine(one.reason ?? ''),
    ]),
    paint,
  );
}

function liveText({ live }: LiveChange): string {
  if (live === null) return 'nothing: the endpoint was deleted';
  if (!live.loaded) return 'nothing: it was unloaded';
  const shared = live.arms?.filter((arm) => arm.share > 0);
  if (shared !== undefined && shared.length > 1)
    return shared.map((arm) => `version ${arm.version} ${percent(arm.share)} (${arm.name})`).join(', ');
  return live.target === null ? 'nothing: its alias names no version' : `version ${live.target.version}`;
}
