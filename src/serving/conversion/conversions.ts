/** The conversions of versions, put together. */
import { createConversionService } from './conversion-service.ts';
import { type ConversionWorkerDeps, createConversionWorker } from './conversion-worker.ts';

export type Conversions = ReturnType<typeof createConversions>;

export function createConversions(deps: ConversionWorkerDeps) {
  const worker = createConversionWorker(deps);
  return {
    service: createConversionService({ ...deps, worker }),
    start: worker.start,
    stop: worker.stop,
  };
}
