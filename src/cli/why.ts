import { adviceText } from './command-word.ts';
import { EXIT_CODES } from './exit-code.ts';
import { cleanLine, formatAge } from './terminal.ts';
import type { VerbSpec } from './verb.ts';

export const why: VerbSpec = {
  name: 'why',
  summary: 'Why an endpoint is ready or not, and the fix',
  about: 'Says what was observed, never what was configured. Exit code 0 when it is ready, 7 when it is not.',
  examples: [['slipway why churn', 'one sentence, and what to do']],
  args: [{ name: 'endpoint', help: 'its name', completes: 'endpoint' }],
  async run(call) {
    const client = await call.client();
    const answer = await client.why(call.args[0]!, { signal: call.signal });
    call.out.result('why', answer, () => {
      const { paint } = call.out;
      const verdict = answer.ready ? paint('green', 'ready') : paint('red', 'not ready');
      const age = answer.observedAt === null ? '' : paint('dim', `  (observed ${formatAge(answer.observedAt)})`);
      const fix = answer.fix === null ? '' : `\n${paint('cyan', 'Fix:')} ${adviceText(cleanLine(answer.fix))}`;
      return `${answer.endpoint} is ${verdict}: ${cleanLine(answer.reason)}${age}${fix}`;
    });
    return answer.ready ? EXIT_CODES.ok.code : EXIT_CODES.unavailable.code;
  },
};
