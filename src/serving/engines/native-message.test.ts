import { expect, test } from 'vitest';
import { cleanNativeMessage } from './native-message.ts';

// Messages as ONNX Runtime 1.30 gives them.
test.each([
  [
    '/onnxruntime_src/onnxruntime/core/graph/model_load_utils.h:46 void onnxruntime::model_load_utils::ValidateOpsetForDomain(const std::unordered_map<std::__cxx11::basic_string<char>, int>&, const onnxruntime::logging::Logger&, bool, const std::string&, int) ONNX Runtime only *guarantees* support for models stamped with official released onnx opset versions. Opset 99 is under development.\n',
    'ONNX Runtime only *guarantees* support for models stamped with official released onnx opset versions. Opset 99 is under development.',
  ],
  [
    "Non-zero status code returned while running ConstantOfShape node. Name:'' Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:360 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) Failed to allocate memory for requested buffer of size 4398046511104\n",
    "Non-zero status code returned while running ConstantOfShape node. Name:'' Status Message: Failed to allocate memory for requested buffer of size 4398046511104",
  ],
  [
    'External data path validation failed for initializer: W. Error: External data path for model loaded from bytes escapes working directory. tensorprotoutils.cc:461 ValidateExternalDataPathFromDir External data path does not exist: "/var/lib/slipway/run/x-1/weights.bin"',
    'External data path validation failed for initializer: W. Error: External data path for model loaded from bytes escapes working directory. External data path does not exist: "weights.bin"',
  ],
  [
    '\x1b[1;31m2026-11-21 08:23:55.960493429 [E:onnxruntime:, sequential_executor.cc:671 ExecuteKernel] Non-zero status code returned while running Gather node.\x1b[m',
    'Non-zero status code returned while running Gather node.',
  ],
  [
    'This is an invalid model. In Node, ("", NoSuchOp, "", -1) : ("X": tensor(float),) -> ("Y": tensor(float),) , Error No Op registered for NoSuchOp with domain_version of 17',
    'This is an invalid model. In Node, ("", NoSuchOp, "", -1) : ("X": tensor(float),) -> ("Y": tensor(float),) , Error No Op registered for NoSuchOp with domain_version of 17',
  ],
  ['Failed at 0x7fa3b2c41d90 in thread', 'Failed at (address) in thread'],
  ['x'.repeat(700), `${'x'.repeat(600)}…`],
])('%s', (native, clean) => {
  expect(cleanNativeMessage(native)).toBe(clean);
});

test.each(['a', '/a', 'a.', '-/', '(', '\\x', 'a::b('])('a message made to be slow to clean is not: %s …', (part) => {
  const from = performance.now();
  expect(cleanNativeMessage(part.repeat(2_000_000)).length).toBeLessThanOrEqual(601);
  expect(performance.now() - from).toBeLessThan(1000);
});
