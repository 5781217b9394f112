/**
 * What a bare server costs, as marks to compare with: node:http that parses the JSON body and gives one fixed answer (MODE=fixed), and
 * the same with onnxruntime-node called once per request in its own process (MODE=model). No checks, no limits, no metrics, no errors.
 */
import http from 'node:http';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const { MODE, MODEL } = process.env;
const asJson = { 'content-type': 'application/json' };
const session =
  MODE === 'model'
    ? await InferenceSession.create(MODEL, { intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential' })
    : null;

const fixed = JSON.stringify({
  model_name: 'tab',
  outputs: [
    { name: 'label', datatype: 'INT64', shape: [1], data: [1] },
    { name: 'probabilities', datatype: 'FP32', shape: [1, 2], data: [0.12345678, 0.8765432] },
  ],
});

async function predict({ inputs: [{ name, shape, data }] }) {
  const { label, probabilities } = await session.run({ [name]: new Tensor('float32', Float32Array.from(data), shape) });
  return JSON.stringify({
    model_name: 'tab',
    outputs: [
      { name: 'label', datatype: 'INT64', shape: label.dims, data: Array.from(label.data, Number) },
      { name: 'probabilities', datatype: 'FP32', shape: probabilities.dims, data: Array.from(probabilities.data) },
    ],
  });
}

function answer(response, text) {
  response.writeHead(200, { ...asJson, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = JSON.parse(chunks.length === 1 ? chunks[0].toString() : Buffer.concat(chunks).toString());
    if (session === null) answer(response, fixed);
    else predict(body).then((text) => answer(response, text));
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
