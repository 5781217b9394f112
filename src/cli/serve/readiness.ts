import { get } from 'node:http';

const POLL_MS = 50;

/**
 * Waits until the gateway says that all it serves has answered a real inference, or has been given up.
 * @param withinMs the longest wait
 * @returns the reason why it is not so; null when it is
 */
export async function untilAnswering(
  inferenceUrl: string,
  withinMs: number,
  stop: AbortSignal,
): Promise<string | null> {
  const until = performance.now() + withinMs;
  for (;;) {
    const reason = await askReady(inferenceUrl);
    if (reason === null || stop.aborted || performance.now() > until) return reason;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** By node:http: fetch would cost this small process 10 MB for good. */
function askReady(inferenceUrl: string): Promise<string | null> {
  return new Promise((resolve) => {
    const request = get(`${inferenceUrl}/v2/health/ready`, { timeout: 2000, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve(response.statusCode === 200 ? null : reasonOf(Buffer.concat(chunks).toString())),
      );
      response.on('error', (error) => resolve(error.message));
    });
    request.on('timeout', () => request.destroy(new Error('the gateway does not answer')));
    request.on('error', (error) => resolve(error.message));
  });
}

function reasonOf(body: string): string {
  try {
    return String((JSON.parse(body) as { error?: unknown }).error ?? body);
  } catch {
    return body;
  }
}
