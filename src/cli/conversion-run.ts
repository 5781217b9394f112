/** What `convert` and `optimize` share: ask, wait, and show the report. */
import type { Client, Conversion, ConversionSpec, Version } from '../../sdk/src/client.ts';
import { CliError, toCliError } from './cli-error.ts';
import { commandText } from './command-text.ts';
import { adviceText } from './command-word.ts';
import { reportText } from './conversion-text.ts';
import { isNoted } from './deploy-progress.ts';
import { EXIT_CODES } from './exit-code.ts';
import { parseVersionRef } from './key-values.ts';
import { cleanLine } from './terminal.ts';
import type { VerbCall } from './verb.ts';

export async function runConversion(call: VerbCall, spec: ConversionSpec): Promise<number> {
  const { out, options, signal, dryRun } = call;
  const { model, ref } = parseVersionRef(call.args[0]!);
  const client = await call.client();
  const asked = await client.conversions.create(model, ref, spec, { dryRun, signal });
  const from = `${model}@${asked.from}`;
  if (dryRun || !options.unlessNo('wait')) {
    out.result(spec.kind, { conversion: asked, version: null, dryRun }, () =>
      dryRun
        ? `${from} can be asked for that. Nothing was changed.`
        : `Asked for it; the server does it by itself.\nNext: ${commandText(options, `versions list ${model}`)}`,
    );
    return EXIT_CODES.ok.code;
  }
  const { conversion, version } = await followed(call, client, asked);
  const { status, reason, hint, report } = conversion;
  out.result(spec.kind, { conversion, version, dryRun: false }, () => {
    const lines = report === null ? [] : [reportText(report, out.paint), ''];
    if (status === 'made') {
      const to = `${model}@${conversion.version}`;
      lines.push(
        version?.status === 'failed'
          ? `${to} was made of ${from}, and did not pass its validation: ${cleanLine(version.statusReason ?? '')}`
          : `${out.paint('green', to)} was made of ${from}, which stays. No endpoint was moved.`,
        `Next: ${commandText(options, version?.status === 'failed' ? `versions show ${to}` : `rollouts start <endpoint> --to ${conversion.version}`)}`,
      );
    } else {
      lines.push(`${out.paint('red', status === 'refused' ? 'Not made.' : 'It failed.')} ${cleanLine(reason ?? '')}`);
      if (hint !== null) lines.push(`${out.paint('cyan', 'Fix:')} ${adviceText(cleanLine(hint))}`);
    }
    return lines.join('\n');
  });
  if (status === 'refused') return EXIT_CODES.gate.code;
  return status === 'failed' || version?.status === 'failed' ? EXIT_CODES.validation.code : EXIT_CODES.ok.code;
}

/** Until it has ended and, where a version was made, until that is validated. */
async function followed(
  { out, signal }: VerbCall,
  client: Client,
  asked: Conversion,
): Promise<{ conversion: Conversion; version: Version | null }> {
  let doing = 'Waiting for its turn';
  let since = performance.now();
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - since) / 1000);
    if (process.stderr.isTTY) out.progress(`${doing} … ${seconds} s`);
    else if (isNoted(seconds)) out.note(`${doing}: ${seconds} s so far`);
  }, 1000);
  const tell = (words: string): void => {
    if (!process.stderr.isTTY) out.note(words);
    doing = words;
    since = performance.now();
  };
  try {
    const conversion = await client.conversions.untilEnded(asked, { signal, onProgress: tell });
    if (conversion.version === null) return { conversion, version: null };
    tell(`Validating ${conversion.model}@${conversion.version}`);
    for (;;) {
      const version = await client.versions.show(conversion.model, conversion.version, { waitMs: 10_000, signal });
      if (version.status === 'ready' || version.status === 'failed') return { conversion, version };
    }
  } catch (error) {
    const known = toCliError(error);
    if (known.reason !== 'interrupted') throw error;
    throw new CliError('interrupted', known.message, {
      code: known.code,
      hint: 'The server goes on with it by itself; what it makes is a further version of the model.',
      cause: error,
    });
  } finally {
    clearInterval(timer);
    out.progress(null);
  }
}
