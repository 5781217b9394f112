import type { Check } from '../../sdk/src/client.ts';
import { resolveConnection } from './connection.ts';
import { EXIT_CODES } from './exit-code.ts';
import { localChecks, serverChecks } from './local-checks.ts';
import { cleanLine, count, pad, type Style } from './terminal.ts';
import type { VerbSpec } from './verb.ts';

const STYLES: Record<Check['outcome'], Style> = { pass: 'green', warn: 'yellow', fail: 'red' };

export const doctor: VerbSpec = {
  name: 'doctor',
  summary: 'Check this machine and the server, with fixes',
  about:
    'PASS, WARN or FAIL for each check, with the fix. Exit code 8 when one fails. Works without a server too, as far as that goes.',
  examples: [
    ['slipway doctor', 'all checks'],
    ['slipway doctor --json', 'as a document, for a monitoring script'],
  ],
  async run(call) {
    const connection = resolveConnection(
      {
        url: call.options.text('url'),
        keyFile: call.options.text('keyFile'),
        project: call.options.text('project'),
        data: call.options.text('data'),
      },
      process.env,
    );
    const checks = [
      ...(await localChecks(connection)).map((check) => ({ ...check, where: 'here' })),
      ...(await serverChecks(connection, call.signal)).map((check) => ({ ...check, where: 'server' })),
    ];
    const tally = (outcome: Check['outcome']): number => checks.filter((check) => check.outcome === outcome).length;
    const counts = { pass: tally('pass'), warn: tally('warn'), fail: tally('fail') };
    call.out.result('doctor', { checks, counts }, () => {
      const { paint } = call.out;
      const lines = checks.map((check) => {
        const fix = check.fix === null ? '' : `\n      ${paint('cyan', 'Fix:')} ${cleanLine(check.fix)}`;
        return `${paint(STYLES[check.outcome], check.outcome.toUpperCase())}  ${pad(check.where, 6)}  ${pad(check.name, 18)}  ${cleanLine(check.detail)}${fix}`;
      });
      return `${lines.join('\n')}\n\n${counts.pass} passed, ${count(counts.warn, 'warning')}, ${counts.fail} failed\n`;
    });
    return counts.fail > 0 ? EXIT_CODES.gate.code : EXIT_CODES.ok.code;
  },
};
