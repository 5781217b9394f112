/** The runner program: one child process per loaded version. Started by `serving/runner/runner-process.ts`, never by hand. */
import type { Engine } from './serving/engines/engine.ts';
import type { NativeEngineName } from './serving/engines/engine-facts.ts';
import { onnxRuntimeEngine } from './serving/engines/onnxruntime.ts';
import { tabularEngine } from './serving/engines/tabular.ts';
import { tabularCheck } from './serving/engines/tabular-check.ts';
import { runnerMain } from './serving/runner/runner-main.ts';

/** Every engine of engine-facts.ts but python, which is a program of its own. */
const engines: Readonly<Record<NativeEngineName, Engine>> = { onnxruntime: onnxRuntimeEngine, tabular: tabularEngine };

process.on('uncaughtException', (error) => {
  process.stderr.write(`${error.name}: ${error.message}\n`);
  process.exit(70);
});

runnerMain({ engines: [...Object.values(engines), tabularCheck], socketFd: 3, diaryFd: 4 });
