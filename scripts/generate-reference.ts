/**
 * Writes `docs/reference/` from the tables that the programs themselves use. With `--check` it writes nothing and fails when a page is
 * stale, naming it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SETTINGS_FILE } from '../src/base/data-folder.ts';
import { ERROR_HELP } from '../src/base/error-help.ts';
import { ERRORS, type ErrorCode, type ErrorKind } from '../src/base/errors.ts';
import { closeSchema } from '../src/base/schema-validation.ts';
import { SETTINGS } from '../src/base/settings.ts';
import { CLIENT_SETTINGS } from '../src/cli/client-settings.ts';
import { EXIT_CODES } from '../src/cli/exit-code.ts';
import { isCommon, optionsOf, usageOf } from '../src/cli/help.ts';
import { DOCUMENT_SCHEMA } from '../src/cli/output.ts';
import type { OptionSpec, VerbSpec } from '../src/cli/verb.ts';
import { GROUPS, isNoun, VERBS } from '../src/cli/verbs.ts';
import { PLAN_SCHEMA } from '../src/rollouts/plan-schema.ts';
import { renderApi } from './render-api.ts';

const root = join(import.meta.dirname, '..');
const NOTE = '<!-- Made by `npm run reference`; do not edit. -->\n';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const code = (text: string): string => (text === '' ? '' : `\`${cell(text)}\``);

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;

/** A default as a person would write it. */
function written(name: string, value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(',');
  if (typeof value !== 'number') return String(value);
  if (name.endsWith('Bytes')) return value % (1024 * MIB) === 0 ? `${value / (1024 * MIB)}GiB` : `${value / MIB}MiB`;
  if (name.endsWith('Ms') && value >= DAY_MS && value % DAY_MS === 0) return `${value / DAY_MS}d`;
  if (name.endsWith('Ms')) return value % 1000 === 0 ? `${value / 1000}s` : `${value}ms`;
  return String(value);
}

function settingsPage(): string {
  const server = Object.entries(SETTINGS).map(([name, row]) => [
    code(name),
    code(row.env),
    code(row.flag),
    code(written(name, row.default)),
    cell(row.help),
  ]);
  const client = Object.values(CLIENT_SETTINGS).map((row) => [
    code(row.env),
    row.flag === null ? '' : code(row.flag),
    cell(row.default),
    cell(row.help),
  ]);
  return `# Settings

${NOTE}
Read once at start: flag before environment before \`${SETTINGS_FILE}\` in the data folder before default. \`slipway config\` prints every value with its
origin. Sizes and times carry their unit: \`64MiB\`, \`30s\`. What people change while the server runs (endpoints, aliases, keys) is in the API, not here.

## Server

The flags are those of \`slipway serve\`; \`${SETTINGS_FILE}\` is a flat map from the names in the first column.

${tableOf(['Name', 'Environment', 'Flag', 'Default', 'Meaning'], server)}

## Command line

${tableOf(['Environment', 'Flag', 'Default', 'Meaning'], client)}

\`NO_COLOR\` and \`TERM=dumb\` turn colours off.
`;
}

const KINDS: Record<ErrorKind, string> = {
  invalid: 'What was sent cannot be accepted',
  unauthorized: 'Who asks is not known',
  forbidden: 'Who asks may not do this',
  not_found: 'What was named does not exist',
  conflict: 'The present state stands in the way',
  too_large: 'It is larger than allowed',
  overloaded: 'Too much at once; try again later',
  unavailable: 'Not possible at the moment',
  internal: 'A fault of Slipway or its machine',
};

function errorsPage(): string {
  const sections = (Object.keys(KINDS) as ErrorKind[]).map((kind) => {
    const rows = Object.entries(ERRORS).filter(([, row]) => row.kind === kind);
    return `## ${kind}: ${KINDS[kind].toLowerCase()}\n\n${rows
      .map(([name, row]) => `### \`${name}\`\n\n${row.title}. ${ERROR_HELP[name as ErrorCode]}`)
      .join('\n\n')}`;
  });
  return `# Errors

${NOTE}
Every error has a code that never changes its meaning. Management answers are problem documents (RFC 9457) with \`code\`, \`detail\` (what failed here),
\`hint\` (what to do), \`errors\` (all faults in what was sent, each with a JSON pointer) and \`request_id\`. Inference answers have the shape that their
protocol prescribes.

${sections.join('\n\n')}
`;
}

const optionRows = (options: readonly OptionSpec[]): string[][] =>
  options.map((option) => [
    code(option.flags),
    cell(option.choices === undefined ? option.help : `${option.help} (${option.choices.join(', ')})`),
  ]);

function verbSection(words: string, spec: VerbSpec): string {
  const options = optionRows(optionsOf(spec).filter((option) => !isCommon(option, spec)));
  const args = (spec.args ?? []).map((arg) => [code(arg.name), cell(arg.help)]);
  return [
    `### slipway ${words}`,
    '',
    `${spec.summary}.${spec.about === undefined ? '' : ` ${spec.about}`}`,
    '',
    '```sh',
    ...spec.examples.map(([command, effect]) => `${command}   # ${effect}`),
    '```',
    '',
    `Usage: \`${usageOf(words, spec)}\``,
    '',
    ...(args.length === 0 ? [] : [tableOf(['Argument', ''], args), '']),
    tableOf(['Option', ''], options),
    '',
  ].join('\n');
}

const BARE: VerbSpec = { name: '', summary: '', examples: [], run: async () => undefined };

async function cliPage(): Promise<string> {
  const parts: string[] = [];
  for (const [group, title] of Object.entries(GROUPS)) {
    parts.push(`## ${title}\n`);
    for (const row of VERBS.filter((other) => other.group === group && !other.hidden)) {
      const spec = await row.load();
      if (!isNoun(spec)) parts.push(verbSection(row.name, spec));
      else for (const verb of spec.verbs) parts.push(verbSection(`${row.name} ${verb.name}`, verb));
    }
  }
  return `# Command line

${NOTE}
Results go to standard output, messages to standard error. Every verb takes \`--json\`: one document \`{"schema": "${DOCUMENT_SCHEMA}", "kind": "noun.verb",
"data": …}\`, which only ever grows by fields; a failure is \`{"schema", "kind": "error", "error": {code, message, hint, fields, requestId, exitCode}}\` on
standard error. Streams (\`logs\`, answers of \`predict\`) are one JSON object a line. Nothing is ever asked where there is no terminal. A key is never a flag: it
comes from \`--key-file\`, from the environment, or from the data folder of a server on the same machine.

## Options of every verb

${tableOf(['Option', ''], optionRows(optionsOf(BARE).filter((option) => isCommon(option, BARE))))}

Verbs that speak to no server, such as \`serve\`, leave out those that name one.

## Exit codes

${tableOf(
  ['Code', 'Meaning'],
  Object.values(EXIT_CODES).map((row) => [String(row.code), cell(row.meaning)]),
)}

${parts.join('\n')}`;
}

const pages: [string, string][] = [
  ['settings.md', settingsPage()],
  ['errors.md', errorsPage()],
  ['cli.md', await cliPage()],
  [
    'rollout-plan.schema.json',
    JSON.stringify(
      { $schema: 'https://json-schema.org/draft/2020-12/schema', ...(closeSchema(PLAN_SCHEMA) as object) },
      null,
      1,
    ),
  ],
];
let apiFault: string | null = null;
try {
  const api = await renderApi();
  pages.push(['openapi.json', api.document], ['api.md', api.page]);
} catch (error) {
  apiFault = (error as Error).message;
}

const stale: string[] = [];
for (const [name, page] of pages) {
  const path = join(root, 'docs/reference', name);
  const text = `${page.trimEnd()}\n`;
  if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
  stale.push(name);
  if (!process.argv.includes('--check')) writeFileSync(path, text);
}
if (process.argv.includes('--check') && stale.length > 0) {
  console.error(`Stale in docs/reference: ${stale.join(', ')}. Run: npm run reference`);
  process.exit(1);
}
if (apiFault !== null) {
  console.error(`The API pages could not be made: ${apiFault}`);
  process.exit(1);
}
console.log(stale.length === 0 ? 'docs/reference is up to date' : `Wrote ${stale.join(', ')}`);
process.exit(0);
