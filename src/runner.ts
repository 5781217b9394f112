/** The runner program: one child process per loaded version. Started by `serving/runner/runner-process.ts`, never by hand. */
import { onnxRuntimeEngine } from './serving/engines/onnxruntime.ts';
import { runnerMain } from './serving/runner/runner-main.ts';

process.on('uncaughtException', (error) => {
  process.stderr.write(`${error.name}: ${error.message}\n`);
  process.exit(70);
});

runnerMain({ engines: [onnxRuntimeEngine], socketFd: 3, diaryFd: 4 });
