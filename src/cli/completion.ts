import { resolveConnection } from './connection.ts';
import { optionsOf } from './help.ts';
import type { ArgumentSpec, VerbCall, VerbSpec } from './verb.ts';
import { isNoun, VERBS } from './verbs.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** Each asks `slipway __complete -- <words so far>` for candidates, so that names of models and endpoints are offered too. */
const SCRIPTS: Record<(typeof SHELLS)[number], string> = {
  bash: `_slipway() {
  local IFS=$'\\n'
  COMPREPLY=($(slipway __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [ "\${COMPREPLY[0]}" = ":file" ] && { compopt -o default; COMPREPLY=(); }
}
complete -F _slipway slipway`,
  zsh: `#compdef slipway
_slipway() {
  local -a found
  found=("\${(@f)$(slipway __complete -- "\${words[@]:1:$((CURRENT - 1))}" 2>/dev/null)}")
  if [ "$found[1]" = ":file" ]; then _files; else compadd -- $found; fi
}
compdef _slipway slipway`,
  fish: `function __slipway_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found (slipway __complete -- $words[2..-1] 2>/dev/null)
  if test "$found[1]" = ":file"
    __fish_complete_path (commandline -ct)
  else
    printf '%s\\n' $found
  end
end
complete -c slipway -f -a '(__slipway_complete)'`,
};

export const completion: VerbSpec = {
  name: 'completion',
  summary: 'Completion for bash, zsh and fish',
  examples: [
    ['slipway completion bash >> ~/.bashrc', 'verbs, options and names complete with Tab'],
    ['slipway completion zsh > "$fpath[1]/_slipway"', 'the same in zsh'],
    ['slipway completion fish > ~/.config/fish/completions/slipway.fish', 'the same in fish'],
  ],
  args: [{ name: 'shell', help: SHELLS.join(', '), completes: SHELLS }],
  local: true,
  async run(call) {
    const shell = call.args[0] as (typeof SHELLS)[number];
    if (!SHELLS.includes(shell)) {
      const { CliError } = await import('./cli-error.ts');
      throw new CliError('usage', `There is no completion for ${shell}`, { hint: `One of ${SHELLS.join(', ')}.` });
    }
    call.out.result('completion', { shell, script: SCRIPTS[shell] }, () => SCRIPTS[shell]);
  },
};

/** Longest time a name from the server may take; a slow server costs names, never the prompt. */
const NAMES_WITHIN_MS = 120;

export const complete: VerbSpec = {
  name: '__complete',
  summary: 'Candidates for the word under the cursor',
  examples: [['slipway __complete -- models ""', 'one candidate a line']],
  args: [{ name: 'words', help: 'the words so far', required: false }],
  hidden: true,
  async run(call) {
    const at = process.argv.indexOf('--');
    const words = at < 0 ? [] : process.argv.slice(at + 1);
    const candidates = await candidatesFor(words, call);
    const current = words.at(-1) ?? '';
    for (const word of candidates) if (word.startsWith(current) || word === ':file') call.out.line(word);
  },
};

async function candidatesFor(words: readonly string[], call: VerbCall): Promise<string[]> {
  const [first, ...rest] = words;
  if (first === undefined || rest.length === 0)
    return [...VERBS.filter((row) => !row.hidden).map((row) => row.name), 'help'];
  const row = VERBS.find((other) => other.name === first);
  if (row === undefined) return [];
  const loaded = await row.load();
  if (isNoun(loaded) && rest.length === 1) return loaded.verbs.map((verb) => verb.name);
  const spec = isNoun(loaded) ? loaded.verbs.find((verb) => verb.name === rest[0]) : loaded;
  if (spec === undefined) return [];
  const typed = isNoun(loaded) ? rest.slice(1) : rest;
  const current = typed.at(-1) ?? '';
  const options = optionsOf(spec);
  if (current.startsWith('-')) return options.flatMap((option) => option.flags.match(/--[a-z][a-z-]*/g) ?? []);
  const before = typed.at(-2);
  const asked = options.find((option) => before?.startsWith('-') && option.flags.split(/[ ,]+/).includes(before));
  if (asked?.choices !== undefined) return [...asked.choices];
  if (asked !== undefined && /<file>|<folder>/.test(asked.flags)) return [':file'];
  const position = countArguments(typed.slice(0, -1), options);
  return namesFor(spec.args?.[position]?.completes, typed.slice(0, -1), call);
}

/** How many positional arguments stand before the cursor. */
function countArguments(words: readonly string[], options: ReturnType<typeof optionsOf>): number {
  let count = 0;
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (!word.startsWith('-')) count++;
    else if (options.some((option) => option.flags.split(/[ ,]+/).includes(word) && option.flags.includes('<'))) at++;
  }
  return count;
}

async function namesFor(kind: ArgumentSpec['completes'], before: readonly string[], call: VerbCall): Promise<string[]> {
  if (kind === undefined) return [];
  if (kind === 'file') return [':file'];
  if (typeof kind !== 'string') return [...kind];
  const { connect } = await import('./connection.ts');
  const limits = { signal: AbortSignal.timeout(NAMES_WITHIN_MS), limit: 100 };
  try {
    const client = await connect(resolveConnection({ data: call.options.text('data') }, process.env));
    const model = before.find((word) => !word.startsWith('-')) ?? '';
    switch (kind) {
      case 'model':
        return (await client.models.list(limits).page()).items.map((item) => item.name);
      case 'endpoint':
        return (await client.endpoints.list(limits).page()).items.map((item) => item.name);
      case 'project':
        return (await client.projects.list(limits).page()).items.map((item) => item.name);
      case 'key':
        return (await client.keys.list(limits).page()).items.map((item) => item.id);
      case 'alias':
        return (await client.aliases.list(model, limits).page()).items.map((item) => item.name);
      case 'version':
        return (await client.models.list(limits).page()).items.flatMap((item) => [
          ...Object.keys(item.aliases).map((alias) => `${item.name}@${alias}`),
          ...(item.latestVersion === null ? [] : [`${item.name}@${item.latestVersion}`]),
        ]);
    }
  } catch {
    return [];
  }
}
