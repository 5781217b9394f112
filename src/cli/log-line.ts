import { cleanLine, type Paint, pad, type Style } from './terminal.ts';

export type LogLine = {
  readonly time: string;
  readonly level: string;
  readonly process: string;
  readonly message: string;
  /** Everything else that was logged with it. */
  readonly details: Record<string, unknown>;
};

/** Reads one line of the log; what is not JSON is taken as a message of an unknown process. */
export function parseLogLine(line: string): LogLine {
  try {
    const { time, level, process, msg, ...details } = JSON.parse(line) as Record<string, unknown>;
    delete details['pid'];
    delete details['hostname'];
    return {
      time: String(time ?? ''),
      level: String(level ?? 'info'),
      process: String(process ?? ''),
      message: String(msg ?? ''),
      details,
    };
  } catch {
    return { time: '', level: 'info', process: '', message: line, details: {} };
  }
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];
const STYLES: Record<string, Style> = { debug: 'dim', info: 'green', warn: 'yellow', error: 'red', fatal: 'red' };

export function isAtLeast(level: string, least: string): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(least);
}

/** One line for a person. Stacks of errors stay in the file. */
export function formatLogLine(line: LogLine, paint: Paint): string {
  const time = line.time.slice(11, 23);
  const details = Object.entries(line.details)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name}=${brief(value)}`);
  const level = paint(STYLES[line.level] ?? 'dim', pad(line.level.toUpperCase(), 5));
  const rest = details.length === 0 ? '' : `  ${paint('dim', cleanLine(details.join(' ')).slice(0, 300))}`;
  return `${paint('dim', time)} ${level} ${pad(line.process, 7)} ${cleanLine(line.message)}${rest}`;
}

function brief(value: unknown): string {
  if (typeof value === 'string') return /[\s"=]/.test(value) || value === '' ? JSON.stringify(value) : value;
  if (typeof value === 'object' && value !== null) {
    const message = (value as { message?: unknown }).message;
    return JSON.stringify(typeof message === 'string' ? message : value);
  }
  return String(value);
}
