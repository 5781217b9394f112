import type { Profile } from '../../sdk/src/client.ts';
import { parseCount } from './key-values.ts';
import { checkName } from './name-check.ts';
import { percent } from './rollout-text.ts';
import { cleanLine, count, type Paint, table } from './terminal.ts';
import { RANGE_OPTIONS, readRange } from './time-options.ts';
import type { VerbSpec } from './verb.ts';

export const profile: VerbSpec = {
  name: 'profile',
  summary: 'What the values of an endpoint were over a time, column by column',
  about:
    'Profiles are made of every column that the policy does not drop, whether predictions are logged or not. Times are rounded out to whole minutes, hours or days. Values are shown only when at least ten predictions had them.',
  examples: [
    ['slipway profile churn', 'the last day'],
    ['slipway profile churn --feature age --since 24h', 'one column, with quantiles and frequent values'],
    ['slipway profile churn --slice input.country=DE', 'of a slice that the policy declares'],
  ],
  args: [{ name: 'endpoint', help: 'the name it is served under', completes: 'endpoint' }],
  options: [
    { flags: '--feature <column>', help: 'one column: input.age, output.score, or just age' },
    ...RANGE_OPTIONS,
    { flags: '--last <rows>', help: 'the last so many rows instead of a time' },
    { flags: '--slice <column=value>', help: 'such as input.country=DE' },
    { flags: '--version <number>', help: 'of this version only' },
  ],
  async run(call) {
    const endpoint = checkName('endpoint', call.args[0]!);
    const client = await call.client();
    const { options } = call;
    const [feature, slice, version, last] = ['feature', 'slice', 'version', 'last'].map((name) => options.text(name));
    const shown = await client.profile(endpoint, {
      ...readRange(call),
      ...(feature === undefined ? {} : { column: feature }),
      ...(last === undefined ? {} : { last: parseCount('--last', last) }),
      ...(slice === undefined ? {} : { slice }),
      ...(version === undefined ? {} : { version: parseCount('--version', version) }),
      signal: call.signal,
    });
    const { paint } = call.out;
    call.out.result('profile', shown, () =>
      feature === undefined ? profileText(shown, paint) : shown.columns.map((one) => columnText(one, paint)).join('\n'),
    );
  },
};

function profileText(shown: Profile, paint: Paint): string {
  const { predictions, failed, rows, profiled, slices, unrecorded } = shown;
  const lines = [
    `${paint('bold', shown.endpoint)}  ${shown.from} to ${shown.to}${shown.slice === '' ? '' : `, ${cleanLine(shown.slice)}`}`,
    shown.versions.map((one) => `${one.model}@${one.version}`).join(', ') || 'no version',
    `${count(predictions, 'prediction')}, ${failed} failed; ${count(rows, 'row')}${profiled < rows ? `, of which profiles saw ${profiled.toLocaleString('en')}` : ''}`,
  ];
  if (shown.reference !== null)
    lines.push(`Reference: ${count(shown.reference.rows, 'row')} of ${ORIGINS[shown.reference.origin]}`);
  if (unrecorded > 0)
    lines.push(`${count(unrecorded, 'column')} beyond the bound ${unrecorded === 1 ? 'has' : 'have'} no profile.`);
  if (slices.length > 0) lines.push(`Slices: ${slices.map(cleanLine).join(', ')}`);
  if (shown.columns.length === 0)
    return `${lines.join('\n')}\n\nThere is no profile of this time. A minute is there a few seconds after its end.`;
  const text = table(
    [
      { title: 'column' },
      { title: 'values', right: true },
      { title: 'missing', right: true },
      { title: 'zeros', right: true },
      { title: 'distinct', right: true },
      { title: 'min', right: true },
      { title: 'p50', right: true },
      { title: 'p95', right: true },
      { title: 'max', right: true },
      { title: 'mean', right: true },
      { title: 'sd', right: true },
      ...(shown.reference === null
        ? []
        : [
            { title: 'was', right: true },
            { title: 'outside', right: true },
          ]),
    ],
    shown.columns.map((one) => [
      cleanLine(one.column),
      one.values.toLocaleString('en'),
      shareOf(one.missing + one.nan, one.values + one.missing),
      shareOf(one.zeros, one.values),
      one.distinct.toLocaleString('en'),
      numberText(one.min),
      numberText(one.quantiles['p50'] ?? null),
      numberText(one.quantiles['p95'] ?? null),
      numberText(one.max),
      numberText(one.mean),
      numberText(one.standardDeviation),
      ...(shown.reference === null ? [] : [numberText(one.reference?.mean ?? null), outsideText(one)]),
    ]),
    paint,
  );
  return `${lines.join('\n')}\n\n${text}`;
}

function columnText(one: Profile['columns'][number], paint: Paint): string {
  const { kinds } = one;
  const what = kinds.texts > 0 ? 'lengths of texts' : kinds.vectors > 0 ? 'lengths (2-norm) of vectors' : 'values';
  const lines = [
    paint('bold', cleanLine(one.column)),
    `Values       ${one.values.toLocaleString('en')}, some ${one.distinct.toLocaleString('en')} different`,
    `Missing      ${one.missing.toLocaleString('en')}, NaN ${one.nan.toLocaleString('en')}, infinite ${one.infinite.toLocaleString('en')}; zero ${one.zeros.toLocaleString('en')}`,
    `Of ${what}`,
    `  mean ${numberText(one.mean)}, standard deviation ${numberText(one.standardDeviation)}`,
    `  min ${numberText(one.min)}, ${Object.entries(one.quantiles)
      .map(([name, value]) => `${name} ${numberText(value)}`)
      .join(', ')}, max ${numberText(one.max)}`,
  ];
  if (one.top.length > 0) {
    lines.push('Most frequent');
    for (const { value, count: n } of one.top.slice(0, 20))
      lines.push(`  ${cleanLine(value)}  ${n.toLocaleString('en')} (${shareOf(n, one.values)})`);
    if (one.topError > 0) lines.push(`  counts may be up to ${one.topError.toLocaleString('en')} too low`);
  }
  lines.push(...histogramText(one));
  return lines.join('\n');
}

const ORIGINS = { file: 'the set that came with the version', first: 'its first predictions' } as const;

/** Share of the values that lie outside of what the reference had. */
function outsideText({ histogram, reference }: Profile['columns'][number]): string {
  if (histogram === null || reference?.histogram?.revision !== histogram.revision) return '-';
  const { counts } = histogram;
  return shareOf(
    counts[0]! + counts.at(-1)!,
    counts.reduce((sum, n) => sum + n, 0),
  );
}

/** Shares of the values between the edges, now and in the reference. */
function histogramText({ histogram, reference }: Profile['columns'][number]): string[] {
  const before = reference?.histogram;
  if (histogram === null || before?.revision !== histogram.revision) return [];
  const { edges, counts } = histogram;
  const [now, then] = [counts, before.counts].map((list) => list.reduce((sum, n) => sum + n, 0));
  const bar = (share: number): string => '#'.repeat(Math.round(share * 40));
  const rows = counts.map((n, at) => {
    const from = at === 0 ? 'below' : numberText(edges[at - 1]!);
    const [a, b] = [now === 0 ? 0 : n / now!, then === 0 ? 0 : before.counts[at]! / then!];
    return `  ${from.padStart(10)}  ${percent(a).padStart(8)}  ${percent(b).padStart(8)}  ${bar(a)}`;
  });
  return ['From            now       was', ...rows];
}

function shareOf(part: number, whole: number): string {
  return whole === 0 ? '-' : percent(part / whole);
}

export function numberText(value: number | null): string {
  if (value === null) return '-';
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e7) ? value.toExponential(2) : String(Number(value.toPrecision(5)));
}
