import type { Child } from './child.ts';

const POLL_MS = 50;

/**
 * Waits until every gateway says that all it serves has answered a real inference, or has been given up.
 * @param withinMs the longest wait
 * @returns the reason why it is not so; null when it is
 */
export async function untilAnswering(
  gateways: readonly Pick<Child, 'assessed'>[],
  withinMs: number,
  stop: AbortSignal,
): Promise<string | null> {
  const until = performance.now() + withinMs;
  for (;;) {
    const reason = gateways.map((gateway) => gateway.assessed()).find((one) => one !== null) ?? null;
    if (reason === null || stop.aborted || performance.now() > until) return reason;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
