/** `slipway predictions import`: a file of another system, sent in parts. */
import { createReadStream } from 'node:fs';
import type { ImportReceipt, ImportRequest } from '../../sdk/src/client.ts';
import { CliError } from './cli-error.ts';
import { checkName } from './name-check.ts';
import { count } from './terminal.ts';
import type { VerbCall } from './verb.ts';

export async function importForeignLog(call: VerbCall): Promise<void> {
  const [endpoint, file] = call.args as [string, string];
  checkName('endpoint', endpoint);
  const format = call.options.text('format') as ImportRequest['format'] | undefined;
  if (format === undefined) {
    throw new CliError('usage', 'What wrote the file? --format <name>', {
      hint: 'sagemaker, cloudevents, seldon or csv.',
    });
  }
  const list = (name: string): string[] | undefined =>
    call.options
      .text(name)
      ?.split(',')
      .map((one) => one.trim());
  const [inputs, outputs, id, at] = [list('inputs'), list('outputs'), call.options.text('id'), call.options.text('at')];
  const about = {
    format,
    ...(inputs === undefined ? {} : { inputs }),
    ...(outputs === undefined ? {} : { outputs }),
    ...(id === undefined ? {} : { id }),
    ...(at === undefined ? {} : { at }),
  };
  const client = await call.client();
  const total: ImportReceipt = { accepted: 0, repeated: 0, waiting: 0 };
  for await (const part of partsOf(createReadStream(file, { encoding: 'utf8' }), format === 'csv')) {
    const receipt = await client.predictions.import(
      endpoint,
      { ...about, ...part },
      { dryRun: call.dryRun, signal: call.signal },
    );
    total.accepted += receipt.accepted;
    total.repeated += receipt.repeated;
    total.waiting = receipt.waiting;
    call.out.progress(`${count(total.accepted, 'prediction')} taken`);
  }
  call.out.progress(null);
  call.out.result('predictions.import', { ...total, dryRun: call.dryRun }, () => {
    const known = total.repeated > 0 ? `, ${total.repeated.toLocaleString('en')} known already` : '';
    const halves =
      total.waiting > 0
        ? `\n${count(total.waiting, 'request or response', 'requests or responses')} without the other half ${total.waiting === 1 ? 'is' : 'are'} taken in a minute.`
        : '';
    return `${call.dryRun ? 'Would take' : 'Took'} ${count(total.accepted, 'prediction')}${known}.${halves}`;
  });
}

/** Lines of one request. */
const PART_CHARS = 1024 * 1024;
const PART_LINES = 2000;

/** A file in parts of whole lines; of a table, each with the header. A quoted field of a CSV may hold line breaks: a part ends where none is open. */
async function* partsOf(
  chunks: AsyncIterable<string>,
  isTable: boolean,
): AsyncGenerator<{ text: string; firstLine: number }> {
  let rest = '';
  let header: string | null = isTable ? null : '';
  let lines: string[] = [];
  let chars = 0;
  let line = 1;
  let isOpen = false;
  const part = (): { text: string; firstLine: number } => {
    const text = `${header}${lines.join('\n')}\n`;
    const found = { text, firstLine: line };
    line += lines.length;
    lines = [];
    chars = 0;
    return found;
  };
  const take = (text: string): boolean => {
    if (isTable && (text.split('"').length - 1) % 2 === 1) isOpen = !isOpen;
    lines.push(text);
    chars += text.length;
    if (isOpen) return false;
    if (header === null) {
      header = `${lines.join('\n')}\n`;
      line += lines.length;
      lines = [];
      chars = 0;
      return false;
    }
    return chars >= PART_CHARS || lines.length >= PART_LINES;
  };
  for await (const chunk of chunks) {
    const found = (rest + chunk).split('\n');
    rest = found.pop()!;
    for (const text of found) if (take(text)) yield part();
  }
  if (rest !== '') take(rest);
  if (lines.length > 0) yield part();
}
