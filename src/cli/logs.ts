import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { LOG_FILE } from '../base/data-folder.ts';
import { toCliError } from './cli-error.ts';
import { resolveConnection } from './connection.ts';
import { parseCount } from './key-values.ts';
import { formatLogLine, isAtLeast, parseLogLine } from './log-line.ts';
import type { VerbCall, VerbSpec } from './verb.ts';

export const logs: VerbSpec = {
  name: 'logs',
  summary: "The server's log",
  about:
    'With --json the lines come as they are stored: NDJSON, one JSON object a line. When the server does not answer and its data folder is here, the file is read.',
  examples: [
    ['slipway logs -f', 'the last lines, then what happens, until Ctrl-C'],
    ['slipway logs -n 1000 --level warn', 'warnings and errors among the last 1000 lines'],
  ],
  options: [
    { flags: '-f, --follow', help: 'go on with new lines' },
    { flags: '-n, --lines <number>', help: 'how many of the last lines; 100 unless given' },
    { flags: '--level <level>', help: 'least level shown', choices: ['debug', 'info', 'warn', 'error'] },
    { flags: '--process <name>', help: 'only lines of this process, such as gateway' },
    { flags: '--json', help: 'NDJSON: one JSON object a line, as stored' },
  ],
  run: showLogs,
};

const TAIL_BYTES = 4 * 1024 * 1024;

async function showLogs(call: VerbCall): Promise<void> {
  const lines = parseCount('--lines', call.options.text('lines') ?? '100', 0);
  const show = createPrinter(call);
  try {
    const client = await call.client();
    for await (const line of client.logs({ follow: call.options.flag('follow'), lines, signal: call.signal }))
      show(line);
  } catch (error) {
    const failure = toCliError(error);
    if (call.signal.aborted) return; // Ctrl-C is how following ends
    const mayRead = ['unreachable', 'key_missing', 'no_server'].includes(failure.code);
    const tail = mayRead ? await readTail(call, lines) : null;
    if (tail === null) throw error;
    call.out.warn('the server does not answer; these are the last lines of its file');
    for (const line of tail) show(line);
  }
}

function createPrinter(call: VerbCall): (line: string) => void {
  const level = call.options.text('level');
  const process = call.options.text('process');
  return (line) => {
    const parsed = parseLogLine(line);
    if (level !== undefined && !isAtLeast(parsed.level, level)) return;
    if (process !== undefined && parsed.process !== process) return;
    call.out.line(call.out.json ? line : formatLogLine(parsed, call.out.paint));
  };
}

async function readTail(call: VerbCall, lines: number): Promise<string[] | null> {
  const connection = resolveConnection({ data: call.options.text('data'), url: call.options.text('url') }, process.env);
  if (connection.urlFrom === 'flag' || connection.urlFrom === 'env') return null; // another machine's server
  const file = await open(join(connection.dataDir, LOG_FILE)).catch(() => null);
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - TAIL_BYTES);
    const buffer = Buffer.alloc(size - from);
    await file.read(buffer, 0, buffer.length, from);
    const all = buffer
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '');
    return lines === 0 ? [] : all.slice(-lines);
  } finally {
    await file.close();
  }
}
