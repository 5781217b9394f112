import { connect, type Socket } from 'node:net';
import type { Logger } from '../../base/log.ts';
import { createFrameReader, readJson, violationIn } from '../runner/frame-reader.ts';
import { FrameWriter } from '../runner/frame-writer.ts';
import { FRAME, FrameError } from '../runner/frames.ts';
import type { Admission } from './admission.ts';
import { createUsageTeller, EXCHANGE_MS, readUsage, type Usage } from './quota-exchange.ts';

const RETRY_MS = 100;

/** A guest's connection for quotas. While the owner is away each gateway holds them by itself. */
export function openQuotaLink(deps: {
  readonly socketPath: string;
  readonly admission: Pick<Admission, 'accounts' | 'accountOfKey'>;
  readonly log: Logger;
}): { close(): void } {
  const { admission, log } = deps;
  const usageNow = createUsageTeller(admission);
  let socket: Socket | null = null;
  let closed = false;
  let retry: NodeJS.Timeout | undefined;

  const tell = (usage: readonly Usage[]): void => {
    const writer = new FrameWriter();
    writer.json(FRAME.usage, 0, { usage });
    writer.sendTo(socket!);
  };

  const dial = (): void => {
    const mine = connect(deps.socketPath);
    const reader = createFrameReader((kind, source, at, size) => {
      if (kind !== FRAME.usage) throw new FrameError(`it sent a frame of kind ${kind}`);
      for (const [key, admitted, running] of readUsage(readJson(source, at, size)))
        admission.accountOfKey(key)?.hear(admitted, running, performance.now());
    });
    mine.on('connect', () => {
      socket = mine;
      usageNow(); // what was used while nobody listened is past
      const underWay = [...admission.accounts()].filter(([, account]) => account.isLimited && account.running > 0);
      tell(underWay.map(([key, account]) => [key, 0, account.running]));
    });
    mine.on('data', (chunk: Buffer) => {
      const violation = violationIn(reader, chunk);
      if (violation === null) return;
      log.error({ what: violation }, 'the owner broke the rules of the line; connecting anew');
      mine.destroy();
    });
    mine.on('error', () => {}); // 'close' follows
    mine.on('close', () => {
      socket = null;
      for (const [, account] of admission.accounts()) account.hear(0, 0, performance.now());
      if (!closed) retry = setTimeout(dial, RETRY_MS);
    });
  };
  const telling = setInterval(() => {
    if (socket === null) return;
    const usage = usageNow();
    if (usage.length > 0) tell(usage);
  }, EXCHANGE_MS);
  dial();

  return {
    close() {
      closed = true;
      clearInterval(telling);
      clearTimeout(retry);
      socket?.destroy();
    },
  };
}
