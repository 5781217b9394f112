import { type Paint, pad, widthOf } from './terminal.ts';
import type { ArgumentSpec, OptionSpec, VerbSpec } from './verb.ts';
import { GROUPS, isNoun, VERBS, type VerbRow } from './verbs.ts';

export const DOCS = 'docs/reference/cli.md';

/** Options that every verb has, and those it has by what it does. */
export function optionsOf(spec: VerbSpec): readonly OptionSpec[] {
  const own = spec.options ?? [];
  const has = (flag: string): boolean => own.some((option) => option.flags.split(/[ ,]+/).includes(flag));
  return [
    ...own,
    ...(spec.changes ? [{ flags: '--dry-run', help: 'check and show what would happen; change nothing' }] : []),
    ...(spec.severe ? [{ flags: '--confirm <name>', help: 'the name again, instead of being asked' }] : []),
    ...(has('--json') ? [] : [{ flags: '--json', help: 'print one JSON document' }]),
    ...(spec.local
      ? []
      : [
          { flags: '--url <url>', help: 'the management API (SLIPWAY_URL)' },
          { flags: '--key-file <file>', help: 'file with the API key, - for standard input (SLIPWAY_API_KEY)' },
          { flags: '--project <name>', help: 'project (SLIPWAY_PROJECT)' },
          ...(has('--data')
            ? []
            : [{ flags: '--data <folder>', help: 'data folder of a server on this machine (SLIPWAY_DATA)' }]),
        ]),
    { flags: '--no-color', help: 'no colours (NO_COLOR)' },
    { flags: '--no-input', help: 'never ask; fail and name the flag instead' },
    { flags: '-q, --quiet', help: 'no messages, only results and errors' },
    { flags: '--debug', help: 'show where an error comes from' },
    { flags: '-h, --help', help: 'this help' },
  ];
}

const COMMON = new Set([
  '--url',
  '--key-file',
  '--project',
  '--data',
  '--no-color',
  '--no-input',
  '--quiet',
  '--debug',
  '--help',
]);

/** Whether an option is one that every verb has, rather than its own. */
export function isCommon(option: OptionSpec, spec: VerbSpec): boolean {
  return !(spec.options ?? []).includes(option) && [...COMMON].some((flag) => option.flags.includes(flag));
}

export function usageOf(words: string, spec: VerbSpec): string {
  const args = (spec.args ?? []).map((arg) => (arg.required === false ? `[${arg.name}]` : `<${arg.name}>`));
  return ['slipway', words, ...args, '[options]'].join(' ');
}

/** Help of one verb: what it does, examples, then the rest. */
export function verbHelp(words: string, spec: VerbSpec, paint: Paint): string {
  const own = optionsOf(spec).filter((option) => !isCommon(option, spec));
  const common = optionsOf(spec).filter((option) => isCommon(option, spec));
  const args: readonly ArgumentSpec[] = spec.args ?? [];
  return [
    `${paint('bold', `slipway ${words}`)}: ${spec.summary.replace(/^./, (c) => c.toLowerCase())}`,
    ...(spec.about === undefined ? [] : ['', wrap(spec.about, 100)]),
    '',
    paint('bold', 'Examples'),
    ...spec.examples.flatMap(([command, effect]) => [`  $ ${command}`, `      ${paint('dim', effect)}`]),
    '',
    `${paint('bold', 'Usage')}  ${usageOf(words, spec)}`,
    ...(args.length === 0 ? [] : ['', ...pairs(args.map((arg) => [arg.name, arg.help]))]),
    '',
    paint('bold', 'Options'),
    ...pairs(own.map((option) => [option.flags, option.help])),
    '',
    paint('bold', 'Common options'),
    ...pairs(common.map((option) => [option.flags, option.help])),
    '',
    paint('dim', `More: ${DOCS}#slipway-${words.replaceAll(' ', '-')}`),
    '',
  ].join('\n');
}

export async function nounHelp(row: VerbRow, paint: Paint): Promise<string> {
  const spec = await row.load();
  const verbs = isNoun(spec) ? spec.verbs : [];
  return [
    `${paint('bold', `slipway ${row.name}`)}: ${row.summary.replace(/^./, (c) => c.toLowerCase())}`,
    '',
    paint('bold', 'Examples'),
    ...verbs.map((verb) => `  $ ${verb.examples[0]![0]}`),
    '',
    paint('bold', 'Verbs'),
    ...pairs(
      verbs.map((verb) => [
        usageOf(`${row.name} ${verb.name}`, verb).replace(/^slipway | \[options\]$/g, ''),
        verb.summary,
      ]),
    ),
    '',
    paint('dim', `\`slipway ${row.name} <verb> -h\` shows examples and options. More: ${DOCS}#slipway-${row.name}`),
    '',
  ].join('\n');
}

export function rootHelp(paint: Paint): string {
  const lines = [
    `${paint('bold', 'slipway')}: from a trained model file to a versioned, validated, observable endpoint`,
    '',
    paint('bold', 'Examples'),
    '  $ slipway serve',
    '  $ slipway deploy ./model.onnx --name churn',
    `  $ slipway predict churn --json '{"age": 41, "plan": "pro"}'`,
    '  $ slipway why churn',
  ];
  for (const [group, title] of Object.entries(GROUPS)) {
    const rows = VERBS.filter((row) => row.group === group && !row.hidden);
    const shown = rows.map((row): [string, string] => [row.name, row.summary]);
    if (group === 'more') shown.unshift(['help [verb…]', 'Help, for everything and offline']);
    lines.push('', paint('bold', title), ...pairs(shown));
  }
  lines.push(
    '',
    'Every verb takes -h and --json; every change takes --dry-run. Results go to standard output, messages to standard error.',
    paint('dim', `\`slipway --version\` prints the release. More: ${DOCS}`),
    '',
  );
  return lines.join('\n');
}

function pairs(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.min(34, Math.max(...rows.map(([left]) => widthOf(left))));
  return rows.map(([left, right]) =>
    widthOf(left) > width ? `  ${left}\n  ${' '.repeat(width)}  ${right}` : `  ${pad(left, width)}  ${right}`,
  );
}

/** Breaks a paragraph between words. */
function wrap(text: string, width: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
}
