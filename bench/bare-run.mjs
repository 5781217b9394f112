/** The model alone: onnxruntime-node called for one row at a time in one process, with fresh rows. Prints the quantiles of one run in microseconds. */
import { readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const { MODEL, BODIES, SECONDS } = process.env;
const session = await InferenceSession.create(MODEL, {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
});
const file = readFileSync(BODIES);
const feeds = [];
for (let at = 0; at < file.length; ) {
  const length = file.readUInt32LE(at);
  const { inputs } = JSON.parse(file.toString('utf8', at + 4, at + 4 + length));
  const [{ name, shape, data }] = inputs;
  feeds.push({ [name]: new Tensor('float32', Float32Array.from(data), shape) });
  at += 4 + length;
}
const run = async (seconds) => {
  const times = [];
  const endMs = performance.now() + seconds * 1000;
  for (let i = 0; performance.now() < endMs; i++) {
    const fromMs = performance.now();
    await session.run(feeds[i % feeds.length]);
    times.push((performance.now() - fromMs) * 1000);
  }
  return times.sort((a, b) => a - b);
};
await run(1);
const times = await run(Number(SECONDS));
const at = (share) => times[Math.floor((times.length - 1) * share)];
console.log(JSON.stringify({ p50Us: at(0.5), p99Us: at(0.99) }));
