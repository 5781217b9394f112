import { stringify } from 'yaml';
import type { QualityRulesDocument, QualityVerdict, ShownQualityRules } from '../../sdk/src/client.ts';
import { EXIT_CODES } from './exit-code.ts';
import { parseCount } from './key-values.ts';
import { checkName } from './name-check.ts';
import { numberText } from './profile.ts';
import { percent } from './rollout-text.ts';
import { cleanLine, count, formatAge, formatMs, type Paint, table } from './terminal.ts';
import { RANGE_OPTIONS, readRange } from './time-options.ts';
import type { VerbCall, VerbSpec } from './verb.ts';
import { readYamlFile } from './yaml-file.ts';

export const quality: VerbSpec = {
  name: 'quality',
  summary: 'Whether the values of an endpoint are as they have to be',
  about:
    'Looks at types, ranges, missing values, new categories, constant columns, duplicates, freshness and volume by the rules of the endpoint; where none were set by those that its reference suggests. Exit code 8 when a rule does not hold.',
  examples: [
    ['slipway quality churn', 'the last day'],
    ['slipway quality churn --suggest > quality.yaml', 'rules to edit, from the reference'],
    ['slipway quality churn --file quality.yaml', 'sets them: a further revision'],
  ],
  args: [{ name: 'endpoint', help: 'the name it is served under', completes: 'endpoint' }],
  options: [
    ...RANGE_OPTIONS,
    { flags: '--last <rows>', help: 'the last so many rows instead of a time' },
    { flags: '--slice <column=value>', help: 'such as input.country=DE' },
    { flags: '--all', help: 'also what holds' },
    { flags: '--rules', help: 'print the rules that hold, as YAML' },
    { flags: '--suggest', help: 'print rules that the reference keeps, as YAML' },
    { flags: '--file <file>', help: 'set the rules of this file' },
  ],
  changes: true,
  async run(call) {
    const endpoint = checkName('endpoint', call.args[0]!);
    const { options } = call;
    if (options.text('file') !== undefined) return set(call, endpoint);
    const client = await call.client();
    const signal = { signal: call.signal };
    if (options.flag('rules') || options.flag('suggest')) {
      const shown = await client.quality[options.flag('rules') ? 'rules' : 'suggest'](endpoint, signal);
      call.out.result('quality.rules', shown, () => stringify(shown.rules, { flowCollectionPadding: false }));
      return EXIT_CODES.ok.code;
    }
    const [last, slice] = [options.text('last'), options.text('slice')];
    const verdict = await client.quality.check(endpoint, {
      ...readRange(call),
      ...(last === undefined ? {} : { last: parseCount('--last', last) }),
      ...(slice === undefined ? {} : { slice }),
      ...signal,
    });
    call.out.result('quality', verdict, () => verdictText(verdict, options.flag('all'), call.out.paint));
    return verdict.outcome === 'failed' ? EXIT_CODES.gate.code : EXIT_CODES.ok.code;
  },
};

async function set(call: VerbCall, endpoint: string): Promise<number> {
  const file = readYamlFile(call.options.text('file')!);
  const client = await call.client();
  const shown: ShownQualityRules = await client.quality
    .set(endpoint, (file.value ?? {}) as QualityRulesDocument, { dryRun: call.dryRun, signal: call.signal })
    .catch((error: unknown) => {
      throw file.explain(error);
    });
  const columns = Object.keys((shown.rules as QualityRulesDocument).columns ?? {}).length;
  call.out.result('quality.set', { ...shown, dryRun: call.dryRun }, () =>
    call.dryRun
      ? `The rules are valid, for ${count(columns, 'column')}. Nothing was changed.`
      : `Revision ${shown.revision} of the rules of ${endpoint}, for ${count(columns, 'column')}, holds${shown.setAt === null ? '' : `, set ${formatAge(shown.setAt)}`}.`,
  );
  return EXIT_CODES.ok.code;
}

const WORDS = { passed: 'holds', failed: 'FAILS', unknown: 'unknown' } as const;
const COLORS = { passed: 'green', failed: 'red', unknown: 'dim' } as const;

function verdictText(verdict: QualityVerdict, all: boolean, paint: Paint): string {
  const { endpoint, from, to, rows, revision, findings } = verdict;
  const n = (outcome: 'passed' | 'failed' | 'unknown'): number =>
    findings.filter((one) => one.outcome === outcome).length;
  const lines = [
    `${paint('bold', endpoint)}  ${count(rows, 'row')} from ${from} to ${to}`,
    revision === 0
      ? 'No rules were set: those that the reference suggests were looked at.'
      : `Revision ${revision} of the rules`,
    `${n('passed')} hold, ${n('failed')} ${n('failed') === 1 ? 'fails' : 'fail'}, ${n('unknown')} cannot be told`,
  ];
  if (findings.length === 0) {
    return `${lines[0]}\nThere are neither rules nor a reference to suggest some: set some with --file, or see \`slipway references -h\`.`;
  }
  const shown = findings.filter((one) => all || one.outcome !== 'passed');
  if (shown.length === 0) return lines.join('\n');
  const text = table(
    [
      { title: 'column' },
      { title: 'rule' },
      { title: '' },
      { title: 'seen', right: true },
      { title: 'allowed', right: true },
      { title: 'of what' },
    ],
    shown.map((one) => [
      cleanLine(one.column ?? '(all)'),
      one.rule,
      paint(COLORS[one.outcome], WORDS[one.outcome]),
      amount(one.rule, one.seen),
      amount(one.rule, one.allowed),
      cleanLine(one.message),
    ]),
    paint,
  );
  return `${lines.join('\n')}\n\n${text}`;
}

function amount(rule: QualityVerdict['findings'][number]['rule'], value: number | null): string {
  if (value === null) return '-';
  if (rule === 'freshness') return formatMs(value * 1000);
  return rule === 'volume' ? numberText(value) : percent(value);
}
