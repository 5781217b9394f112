import { Command, CommanderError, Option } from 'commander';
import { closestWord } from '../base/closest-word.ts';
import { CliError, toCliError } from './cli-error.ts';
import { adviceText } from './command-word.ts';
import { askConfirmation } from './confirm.ts';
import { connect, resolveConnection } from './connection.ts';
import { EXIT_CODES } from './exit-code.ts';
import { nounHelp, optionsOf, rootHelp, usageOf, verbHelp } from './help.ts';
import { createOutput, type Output } from './output.ts';
import { createPaint } from './terminal.ts';
import { type NounSpec, readOptions, type VerbSpec } from './verb.ts';
import { isNoun, VERBS, type VerbRow } from './verbs.ts';

/**
 * Parses the command line, runs the verb and gives the exit code. Only the file of the named verb is loaded.
 * @param argv what follows the program's name
 */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  const wantsJson = asksForJson(argv);
  const fallback = createOutput({ json: wantsJson, color: !argv.includes('--no-color'), quiet: false });
  const words = argv[0] === 'help' ? argv.slice(1).filter((word) => !word.startsWith('-')) : null;
  const paint = createPaint(process.stdout, process.env, !argv.includes('--no-color'));
  try {
    if (words !== null) return await showHelp(words, fallback);
    const first = argv.find((word) => !word.startsWith('-'));
    if (first === undefined && (argv.length === 0 || argv.includes('-h') || argv.includes('--help'))) {
      // Without any word it is a question, and a wrong command line too.
      if (argv.length > 0) fallback.line(rootHelp(paint).trimEnd());
      else fallback.note(rootHelp(fallback.paintNotes));
      return argv.length === 0 ? EXIT_CODES.usage.code : EXIT_CODES.ok.code;
    }
    return await dispatch(argv, first);
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT_CODES.ok.code;
      const message = error.message.replace(/^error: /, '').replace(/\n\(Did you mean .*\)$/s, '');
      const guess = /\(Did you mean (.*)\?\)/s.exec(error.message)?.[1];
      const usage = new CliError('usage', capital(message), {
        hint: `${guess === undefined ? '' : `Did you mean ${guess}? `}\`slipway ${helpWords(argv)}-h\` shows examples and options.`,
      });
      fallback.failure(usage, argv.join(' '), false);
      return usage.exitCode;
    }
    const failure = toCliError(error);
    fallback.failure(failure, commandWords(argv), argv.includes('--debug'));
    return failure.exitCode;
  }
}

/** Whether the document is asked for; `predict --json '{…}'` gives an input instead, and only a bare one asks. */
function asksForJson(argv: readonly string[]): boolean {
  if (argv[0] !== 'predict') return argv.includes('--json');
  return argv.some((word, at) => word === '--json' && (argv[at + 1] ?? '-').startsWith('-'));
}

const capital = (text: string): string => text.replace(/^./, (c) => c.toUpperCase());

function rowOf(word: string | undefined): VerbRow | undefined {
  return VERBS.find((row) => row.name === word);
}

function helpWords(argv: readonly string[]): string {
  return rowOf(argv[0]) === undefined ? '' : `${argv[0]} `;
}

/** The words of the command for messages, without values that may be private. */
function commandWords(argv: readonly string[]): string {
  return argv
    .filter((word) => !word.startsWith('-'))
    .slice(0, 2)
    .join(' ');
}

async function dispatch(argv: readonly string[], first: string | undefined): Promise<number> {
  const state = { exitCode: 0 };
  const root = quietly(new Command('slipway'));
  for (const row of VERBS.filter((other) => other.name !== first))
    root.command(row.name, { hidden: row.hidden ?? false });
  const row = rowOf(first);
  if (row !== undefined) {
    const spec = await row.load();
    if (isNoun(spec)) {
      const noun = quietly(new Command(row.name));
      const paint = createPaint(process.stdout, process.env, !argv.includes('--no-color'));
      const help = await nounHelp(row, paint);
      noun.configureHelp({ formatHelp: () => help });
      noun.helpCommand(false);
      for (const verb of spec.verbs) noun.addCommand(commandOf(`${row.name} ${verb.name}`, verb, state));
      noun.action(() => {
        const verbs = spec.verbs.map((verb) => verb.name).join(', ');
        const asked = noun.args.find((word) => !word.startsWith('-'));
        if (asked !== undefined) (noun as unknown as { unknownCommand(): never }).unknownCommand();
        throw new CliError('usage', `\`slipway ${row.name}\` needs a verb: ${verbs}`, {
          hint: `\`slipway ${row.name} -h\` shows an example of each.`,
        });
      });
      noun.allowExcessArguments(true);
      // `slipway audit --json` lacks a verb; that it has an option besides is not what to say.
      noun.allowUnknownOption(true);
      root.addCommand(noun);
    } else {
      root.addCommand(commandOf(row.name, spec, state));
    }
  }
  await root.parseAsync([...argv], { from: 'user' });
  return state.exitCode;
}

/** Our own exit codes and messages in place of commander's. */
function quietly(command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({ writeErr: () => undefined, outputError: () => undefined })
    .helpCommand(false)
    .showSuggestionAfterError(true);
}

function commandOf(words: string, spec: VerbSpec, state: { exitCode: number }): Command {
  const command = quietly(new Command(words.split(' ').at(-1)));
  for (const arg of spec.args ?? [])
    command.argument(arg.required === false ? `[${arg.name}]` : `<${arg.name}>`, arg.help);
  for (const row of optionsOf(spec)) {
    if (row.flags.includes('--help')) continue; // commander's own
    const option = new Option(row.flags, row.help);
    if (row.choices !== undefined) option.choices(row.choices);
    if (row.repeatable) {
      option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
    }
    if (row.preset !== undefined) option.preset(row.preset);
    command.addOption(option);
  }
  if (spec.hidden) command.allowExcessArguments(true);
  command.configureHelp({
    formatHelp: () =>
      verbHelp(words, spec, createPaint(process.stdout, process.env, !process.argv.includes('--no-color'))),
  });
  command.action(async () => {
    state.exitCode = await runVerb(words, spec, command);
  });
  return command;
}

async function runVerb(words: string, spec: VerbSpec, command: Command): Promise<number> {
  const values = command.opts<Record<string, unknown>>();
  const options = readOptions(values);
  const out = createOutput({
    json: values['json'] === true || options.list('json').includes('') || values['output'] === 'json',
    color: options.unlessNo('color'),
    quiet: options.flag('quiet'),
  });
  const interrupt = new AbortController();
  const stop = (): void => {
    if (interrupt.signal.aborted) process.exit(EXIT_CODES.interrupted.code);
    interrupt.abort();
  };
  // The server has its own way of stopping.
  if (words !== 'serve') process.on('SIGINT', stop);
  try {
    const code = await spec.run({
      args: (spec.args ?? []).map((_, at) => command.processedArgs[at] as string | undefined),
      options,
      out,
      client: (needs) =>
        connect(
          resolveConnection(
            {
              url: options.text('url'),
              inferenceUrl: options.text('inferenceUrl'),
              keyFile: options.text('keyFile'),
              project: options.text('project'),
              data: options.text('data'),
            },
            process.env,
          ),
          needs?.keyOptional === true,
        ),
      signal: interrupt.signal,
      dryRun: options.flag('dryRun'),
      confirm: (what, name, consequence) =>
        askConfirmation({
          what,
          name,
          consequence,
          given: options.text('confirm'),
          mayAsk:
            options.unlessNo('input') && process.stdin.isTTY === true && process.stderr.isTTY === true && !out.json,
          out,
        }),
    });
    out.progress(null);
    return code ?? EXIT_CODES.ok.code;
  } catch (error) {
    out.progress(null);
    const failure = toCliError(error);
    if (interrupt.signal.aborted && failure.reason === 'interrupted') {
      const hint = failure.hint ?? (spec.changes ? 'Look at what was done before repeating it.' : '');
      if (out.json) out.failure(failure, words, false);
      else out.note(`Interrupted. ${adviceText(hint)}`.trim());
      return failure.exitCode;
    }
    out.failure(failure, words, options.flag('debug'));
    return failure.exitCode;
  } finally {
    process.off('SIGINT', stop);
  }
}

async function showHelp(words: readonly string[], out: Output): Promise<number> {
  const row = rowOf(words[0]);
  if (words.length === 0) {
    const rows = VERBS.filter((other) => !other.hidden).map(({ name, summary }) => ({ name, summary }));
    out.result('help', { verbs: rows }, () => rootHelp(out.paint));
    return EXIT_CODES.ok.code;
  }
  if (row === undefined) {
    throw unknownWord(
      words[0]!,
      VERBS.filter((other) => !other.hidden).map((other) => other.name),
      '',
    );
  }
  const spec = await row.load();
  const verb = isNoun(spec) ? spec.verbs.find((other) => other.name === words[1]) : spec;
  if (isNoun(spec) && verb === undefined && words[1] !== undefined) {
    throw unknownWord(
      words[1],
      spec.verbs.map((other) => other.name),
      `${row.name} `,
    );
  }
  const path = isNoun(spec) ? words.slice(0, 2) : words.slice(0, 1);
  const text = verb === undefined ? await nounHelp(row, out.paint) : verbHelp(path.join(' '), verb, out.paint);
  out.result('help', helpData(path.join(' '), isNoun(spec) && verb !== undefined ? verb : spec), () => text);
  return EXIT_CODES.ok.code;
}

function helpData(words: string, spec: VerbSpec | NounSpec): unknown {
  if (isNoun(spec)) return { words, verbs: spec.verbs.map(({ name, summary }) => ({ name, summary })) };
  const { summary, about = null, examples, args = [] } = spec;
  return { words, summary, about, examples, args, options: optionsOf(spec), usage: usageOf(words, spec) };
}

function unknownWord(word: string, known: readonly string[], before: string): CliError {
  const guess = closestWord(word, known);
  const list = `\`slipway help ${before}`.trimEnd();
  return new CliError('usage', `Unknown command '${before}${word}'`, {
    hint: `${guess === null ? '' : `Did you mean ${guess}? `}${list}\` lists what there is.`,
  });
}
