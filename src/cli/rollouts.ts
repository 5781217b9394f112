import { readFileSync } from 'node:fs';
import type { Rollout, RolloutRecord, StartedRollout } from '../../sdk/src/client.ts';
import { CliError } from './cli-error.ts';
import { EXIT_CODES } from './exit-code.ts';
import { LIST_OPTIONS, listing } from './list-options.ts';
import { checkName } from './name-check.ts';
import { percent, rolloutText } from './rollout-text.ts';
import { shadowTexts } from './shadow-text.ts';
import { cleanLine, formatAge, formatMs, type Paint, table } from './terminal.ts';
import type { NounSpec, OptionSpec, VerbCall, VerbSpec } from './verb.ts';

const NAME = { name: 'endpoint', help: 'its name', completes: 'endpoint' } as const;
const REASON: OptionSpec = { flags: '--reason <text>', help: 'why, for the record' };
const WATCH_EVERY_MS = 1000;

export const rollouts: NounSpec = {
  verbs: [
    {
      name: 'start',
      summary: 'Bring a version to an endpoint in stages that evidence decides',
      about:
        'Nothing moves before the plan was found to work. With --dry-run it shows the stages and about how many calls and how long they need.',
      examples: [
        ['slipway rollouts start churn --to 3 --strategy canary', '1, 5, 25, 50, then 100 %, with gates for its task'],
        [
          'slipway rollouts start churn --to 3 --strategy blue-green',
          'beside the old one, then all at once on your word',
        ],
        ['slipway rollouts start churn --to 3 --plan rollout.yaml --dry-run', 'what that plan would need'],
      ],
      args: [NAME],
      options: [
        { flags: '--to <version>', help: 'the version: a number, an alias or latest' },
        {
          flags: '--strategy <name>',
          help: 'a built-in plan; canary unless given',
          choices: ['canary', 'blue-green', 'shadow'],
        },
        { flags: '--plan <file>', help: 'a plan of your own, as YAML' },
        { flags: '--sample <share>', help: 'of calls that a shadow gets, such as 20%' },
        { flags: '--allow-breaking', help: 'although its signature would break callers' },
        { flags: '--supersede', help: 'in place of the rollout under way, which goes back first' },
        REASON,
      ],
      changes: true,
      run: start,
    },
    {
      name: 'show',
      summary: 'The last rollout of an endpoint, with every transition',
      examples: [['slipway rollouts show churn', 'where it is, and why']],
      args: [NAME],
      async run(call) {
        const client = await call.client();
        const shown = await client.rollouts.show(checkName('endpoint', call.args[0]!), { signal: call.signal });
        call.out.result('rollouts.show', shown, () =>
          [
            rolloutText(shown.rollout, call.out.paint),
            ...shadowTexts(shown.shadows, call.out.paint),
            recordsText(shown.records, call.out.paint),
          ].join('\n\n'),
        );
      },
    },
    {
      name: 'watch',
      summary: 'Follow a rollout until it ends',
      about: 'Exit code 8 when it was rolled back or could not run.',
      examples: [['slipway rollouts watch churn', 'until it is promoted, or gone back']],
      args: [NAME],
      run: watch,
    },
    {
      name: 'list',
      summary: 'Rollouts of the project, the newest first',
      examples: [['slipway rollouts list --endpoint churn', 'those of one endpoint']],
      options: [{ flags: '--endpoint <name>', help: 'of this one only' }, ...LIST_OPTIONS],
      async run(call) {
        const client = await call.client();
        const endpoint = call.options.text('endpoint');
        const items = await listing(call, (options) =>
          client.rollouts.list({ ...options, ...(endpoint === undefined ? {} : { endpoint }) }),
        );
        call.out.result('rollouts.list', items, () => listText(items, call.out.paint));
      },
    },
    command('pause', 'Stop a rollout where it is', 'traffic stays, guardrails stay armed'),
    command('resume', 'Go on with a paused rollout', 'what failed is overruled, what was invalid is compared anew'),
    command('promote', 'Give the new version all traffic now', 'whatever the gates say'),
    command('abort', 'Give all traffic back to the old version', 'at once'),
    command('approve', 'Agree to what a rollout waits for', 'it goes on when enough have agreed'),
  ],
};

function command(
  name: 'pause' | 'resume' | 'promote' | 'abort' | 'approve',
  summary: string,
  effect: string,
): VerbSpec {
  return {
    name,
    summary,
    examples: [[`slipway rollouts ${name} churn`, effect]],
    args: [NAME],
    options: [REASON],
    changes: true,
    async run(call) {
      const client = await call.client();
      const endpoint = checkName('endpoint', call.args[0]!);
      const reason = call.options.text('reason');
      const rollout = await client.rollouts.command(endpoint, name, reason === undefined ? {} : { reason }, {
        dryRun: call.dryRun,
        signal: call.signal,
      });
      call.out.result(`rollouts.${name}`, rollout, () => rolloutText(rollout, call.out.paint));
    },
  };
}

async function start(call: VerbCall): Promise<void> {
  const to = call.options.text('to');
  if (to === undefined)
    throw new CliError('usage', 'It has to be said which version: --to <version>', {
      hint: 'A number, an alias, or latest.',
    });
  const file = call.options.text('plan');
  const strategy = call.options.text('strategy') as 'canary' | 'blue-green' | 'shadow' | undefined;
  if (file !== undefined && strategy !== undefined)
    throw new CliError('usage', 'Either --plan or --strategy', { hint: 'A plan may name its strategy itself.' });
  const client = await call.client();
  const sample = call.options.text('sample');
  const reason = call.options.text('reason');
  const started = await client.rollouts.start(
    checkName('endpoint', call.args[0]!),
    {
      to,
      ...(strategy === undefined ? {} : { strategy }),
      ...(file === undefined ? {} : { plan: readPlan(file) }),
      ...(sample === undefined ? {} : { sample }),
      ...(reason === undefined ? {} : { reason }),
      ...(call.options.flag('allowBreaking') ? { allowBreaking: true } : {}),
      ...(call.options.flag('supersede') ? { supersede: true } : {}),
    },
    { dryRun: call.dryRun, signal: call.signal },
  );
  call.out.result('rollouts.start', started, () => startedText(started, call.args[0]!, call.out.paint));
}

function readPlan(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CliError('notFound', `The plan ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`, {
      hint: 'docs/guides/rollout-plans.md shows what one looks like.',
    });
  }
}

function startedText({ rollout, estimates }: StartedRollout, endpoint: string, paint: Paint): string {
  const plan = table(
    [{ title: 'Stage' }, { title: 'Calls', right: true }, { title: "Time at today's traffic", right: true }],
    estimates.map((one) => [
      one.stage,
      one.calls === null ? 'unknown' : one.calls.toLocaleString('en-US'),
      one.ms === null ? 'unknown' : formatMs(one.ms),
    ]),
    paint,
  );
  if (rollout === null) return `${plan}\n\nNothing was changed: this was a dry run.`;
  return `${plan}\n\n${cleanLine(rollout.text)}\nNext: slipway rollouts watch ${endpoint}`;
}

async function watch(call: VerbCall): Promise<number> {
  const client = await call.client();
  const endpoint = checkName('endpoint', call.args[0]!);
  let last = '';
  for (;;) {
    const { rollout } = await client.rollouts.show(endpoint, { signal: call.signal });
    const text = rolloutText(rollout, call.out.paint);
    if (rollout.isEnded) {
      call.out.result('rollouts.watch', rollout, () => text);
      return rollout.phase === 'completed' ? EXIT_CODES.ok.code : EXIT_CODES.gate.code;
    }
    const step = `${rollout.phase} ${rollout.stage} ${rollout.text}`;
    if (step !== last) call.out.note(`${rollout.phase} ${percent(rollout.weight.asked)}: ${cleanLine(rollout.text)}`);
    last = step;
    await new Promise((done) => setTimeout(done, WATCH_EVERY_MS));
  }
}

function recordsText(records: readonly RolloutRecord[], paint: Paint): string {
  return table(
    [{ title: 'When' }, { title: 'To' }, { title: 'By' }, { title: 'Why' }],
    records.map((one) => [formatAge(one.at), one.to, cleanLine(one.by), cleanLine(one.reason)]),
    paint,
  );
}

function listText(items: readonly Rollout[], paint: Paint): string {
  if (items.length === 0) return 'There has been no rollout. Start one: slipway rollouts start ENDPOINT --to VERSION';
  return table(
    [{ title: 'Endpoint' }, { title: 'To', right: true }, { title: 'Phase' }, { title: 'Started' }, { title: 'What' }],
    items.map((one) => [
      one.endpoint,
      String(one.to.version),
      one.phase,
      formatAge(one.startedAt),
      cleanLine(one.text),
    ]),
    paint,
  );
}
