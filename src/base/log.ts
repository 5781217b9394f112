import pino, { type Logger } from 'pino';

export type { Logger };

/** Keys whose values never reach a log, wherever they stand. */
const SECRET_PATHS = ['key', 'secret', 'authorization', 'apiKey', 'token', 'password', 'cookie'].flatMap((name) => [
  name,
  `*.${name}`,
  `headers.${name}`,
  `req.headers.${name}`,
]);

/** API keys are also recognised inside free text, e.g. in the message of an error. */
const KEY_IN_TEXT = /slipway_[a-z]+_[A-Za-z0-9]+_[A-Za-z0-9_-]{20,}/g;

export function redactKeys(text: string): string {
  return text.replace(KEY_IN_TEXT, 'slipway_[redacted]');
}

/**
 * A structured logger: one JSON object a line on standard output, where the supervising process collects it.
 * @param process the word for this process: control, gateway, runner
 */
export function createLogger(process: string, level: string, destination?: pino.DestinationStream): Logger {
  return pino(
    {
      level,
      base: { process },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_PATHS, censor: '[redacted]' },
      hooks: {
        streamWrite: redactKeys,
      },
    },
    destination ?? pino.destination({ dest: 1, sync: true }),
  );
}
