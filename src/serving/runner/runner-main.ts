import { Socket } from 'node:net';
import { dirname, resolve } from 'node:path';
import { SlipwayError } from '../../base/errors.ts';
import type { Engine, LoadedModel } from '../engines/engine.ts';
import { paddingPlan } from '../tensors/padding.ts';
import { createFrameReader, readJson, readTensors } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import { FRAME, FrameError, type FrameTensor, frameTensors } from './frames.ts';
import type { FailedMessage, LoadMessage, ReadyMessage, StepMessage } from './load-message.ts';
import { createDiaryWriter } from './run-diary.ts';
import { createRunLoop, type RunLoop } from './run-loop.ts';
import { readVerified, safeParts, verifyFile } from './verified-files.ts';

export type RunnerMain = {
  readonly engines: readonly Engine[];
  /** The inherited end of the socket pair. */
  readonly socketFd: number;
  /** The inherited diary, see run-diary.ts. */
  readonly diaryFd: number;
};

/** The whole life of a runner process: load what the first frame names, then answer calls until the socket closes. */
export function runnerMain({ engines, socketFd, diaryFd }: RunnerMain): void {
  const socket = new Socket({ fd: socketFd, readable: true, writable: true });
  const writer = new FrameWriter();
  let inputs: readonly FrameTensor[] = [];
  let loop: RunLoop | null = null;

  const send = (): void => {
    if (writer.sizeBytes === 0) return;
    writer.sendTo(socket);
  };

  const step = (message: StepMessage): void => {
    writer.json(FRAME.step, 0, message);
    send();
  };

  const load = async (message: LoadMessage): Promise<void> => {
    try {
      const model = await loadModel(engines, message, step);
      inputs = frameTensors(message.signature.inputs);
      loop = createRunLoop({
        model,
        outputs: frameTensors(message.signature.outputs),
        canBatch: message.canBatch,
        padding: message.canPad ? paddingPlan(message.signature) : null,
        maxBatchRows: message.maxBatchRows,
        writer,
        send,
        note: createDiaryWriter(diaryFd),
      });
      const ready: ReadyMessage = model.about === undefined ? {} : { about: model.about };
      writer.json(FRAME.ready, 0, ready);
      send();
    } catch (error) {
      writer.json(FRAME.failed, 0, failedMessage(error));
      send();
      socket.end(() => process.exit(1));
    }
  };

  const reader = createFrameReader((kind, source, at, size) => {
    const word = at >>> 2;
    switch (kind) {
      case FRAME.infer:
        if (loop === null) throw new FrameError('a call came before the model was loaded');
        loop.add({
          id: source.u32[word + 2]!,
          rows: source.u32[word + 3]!,
          deadlineMs: source.f64[(at >>> 3) + 2]!,
          inputs: readTensors(source, at, size, inputs),
          cancelled: false,
        });
        return;
      case FRAME.cancel:
        loop?.cancel(source.u32[word + 2]!);
        return;
      case FRAME.load:
        void load(readJson(source, at, size) as LoadMessage);
        return;
      default:
        throw new FrameError(`a frame of kind ${kind} is none for a runner`);
    }
  });

  socket.on('data', (chunk: Buffer) => reader.push(chunk));
  // Whoever started this process is gone, or asked it to end.
  socket.on('end', () => process.exit(0));
  socket.on('error', () => process.exit(0));
}

async function loadModel(
  engines: readonly Engine[],
  message: LoadMessage,
  step: (message: StepMessage) => void,
): Promise<LoadedModel> {
  const engine = engines.find(({ name }) => name === message.engine);
  if (engine === undefined) {
    throw new SlipwayError('model_unsupported', `There is no engine ${message.engine}`, {
      hint: `Engines of this release: ${engines.map(({ name }) => name).join(', ')}.`,
    });
  }
  step({ step: 'verifying' });
  let entryBytes: Uint8Array | null = null;
  for (const listed of message.files) {
    const file = { ...listed, blobPath: '' };
    const at = resolve(...safeParts(file.path));
    if (file.path === message.entry) entryBytes = await readVerified(file, at);
    else await verifyFile(file, at);
  }
  if (entryBytes === null) throw new SlipwayError('model_invalid', `The artifact has no file ${message.entry}`);
  const entryPath = resolve(...safeParts(message.entry));
  // Names of external data are relative to the model's own folder, and engines resolve them against the working directory.
  process.chdir(dirname(entryPath));
  step({ step: 'loading' });
  return engine.load({ entryPath, entryBytes, signature: message.signature, threads: message.threads });
}

function failedMessage(error: unknown): FailedMessage {
  if (error instanceof SlipwayError) {
    return { code: error.code, message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
  }
  return { code: 'model_invalid', message: error instanceof Error ? error.message : 'The model cannot be loaded' };
}
