import { stringifyJson } from '../../sdk/src/json.ts';
import { quoteForShell } from '../base/shell.ts';

/**
 * A command to paste that makes a prediction.
 * @param call.key what stands for the key, in double quotes of a shell; null where predictions need none
 */
export function curlText(call: {
  readonly inferenceUrl: string;
  readonly project: string;
  readonly endpoint: string;
  readonly request: unknown;
  readonly key: string | null;
}): string {
  const folder = call.project === 'default' ? '' : `/p/${encodeURIComponent(call.project)}`;
  const url = `${call.inferenceUrl}${folder}/endpoints/${encodeURIComponent(call.endpoint)}/predict`;
  const key = call.key === null ? '' : ` -H "Authorization: Bearer ${call.key}"`;
  return `curl -s ${url}${key} -H 'content-type: application/json' \\\n  -d ${quoteForShell(stringifyJson(call.request))}`;
}

/** Whether predictions need a key there: only the gateway knows its setting. */
export async function needsKey(inferenceUrl: string, signal: AbortSignal): Promise<boolean> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(5000)]);
  const answer = await fetch(`${inferenceUrl}/endpoints`, { signal: limit }).catch(() => null);
  await answer?.body?.cancel();
  return answer?.status === 401;
}
