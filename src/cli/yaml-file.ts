import { readFileSync } from 'node:fs';
import { isNode, LineCounter, parseDocument, visit } from 'yaml';
import { SlipwayApiError } from '../../sdk/src/client.ts';
import { CliError, toCliError } from './cli-error.ts';

export type YamlFile = {
  readonly value: unknown;
  /** A refusal of the server in the file's own terms: which line it is about. */
  explain(thrown: unknown): CliError;
};

/**
 * Reads a file that a person wrote in YAML (or JSON, which is YAML).
 * @throws CliError with the line of what cannot be read
 */
export function readYamlFile(path: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(readFileSync(path, 'utf8'), {
    lineCounter: lines,
    uniqueKeys: true,
    stringKeys: true,
  });
  if (document.errors.length > 0) {
    const fields = document.errors.map(({ pos, message }) => ({
      pointer: `line ${lines.linePos(pos[0]).line}`,
      message: message.split('\n')[0]!.replace(/ at line .*/, ''),
    }));
    const message = `${path} is no YAML: ${fields[0]!.pointer}: ${fields[0]!.message}`;
    throw new CliError('validation', message, { code: 'invalid_request', fields });
  }
  visit(document, {
    Scalar(_key, { value, range }) {
      if (typeof value !== 'number' || Number.isFinite(value)) return;
      // It would travel as null, which is no value at all.
      const fault = { pointer: `line ${lines.linePos(range![0]).line}`, message: 'is infinite or not a number' };
      const message = `${path} cannot be sent: ${fault.pointer} ${fault.message}`;
      throw new CliError('validation', message, { code: 'invalid_request', fields: [fault] });
    },
  });
  const lineOf = (pointer: string): number | null => {
    const keys = pointer.split('/').slice(1);
    for (; keys.length > 0; keys.pop()) {
      const node = document.getIn(
        keys.map((key) => (/^\d+$/.test(key) ? Number(key) : key)),
        true,
      );
      if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
    }
    return null;
  };
  return {
    value: document.toJS({ maxAliasCount: 100 }),
    explain(thrown) {
      const error = toCliError(thrown);
      if (!(thrown instanceof SlipwayApiError) || error.fields.length === 0) return error;
      const { reason, code, hint, requestId } = error;
      const fields = error.fields.map(({ pointer, message }) => {
        const line = lineOf(pointer);
        return { pointer: line === null ? pointer : `line ${line}, ${pointer.split('/').at(-1)}`, message };
      });
      return new CliError(reason, `${path}: ${error.message}`, {
        code,
        ...(hint === null ? {} : { hint }),
        fields,
        requestId,
        cause: error,
      });
    },
  };
}
