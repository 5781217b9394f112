/**
 * Writes `src/serving/grpc/descriptors.ts`: the compiled form of `src/serving/grpc/protos/`, from which the codec takes its tables and
 * which reflection hands out. With `--check` it writes nothing and fails when the file is stale.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const PROTOS = join(root, 'src/serving/grpc/protos');
const TARGET = join(root, 'src/serving/grpc/descriptors.ts');
const LINE = 120;

function compile(): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-protos-'));
  try {
    const out = join(folder, 'descriptors.binpb');
    const buf = join(root, 'node_modules/.bin/buf');
    execFileSync(buf, ['build', PROTOS, '--as-file-descriptor-set', '--exclude-source-info', '-o', out]);
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function render(bytes: Buffer): string {
  const text = bytes.toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += LINE) lines.push(text.slice(at, at + LINE));
  return `// Made by \`npm run protos\` from protos/; do not edit.

/** A google.protobuf.FileDescriptorSet in base64. */
export const DESCRIPTOR_SET = \`
${lines.join('\n')}
\`;
`;
}

const made = render(compile());
if (process.argv.includes('--check')) {
  if (readFileSync(TARGET, 'utf8') !== made) {
    console.error('src/serving/grpc/descriptors.ts is stale: run `npm run protos`');
    process.exit(1);
  }
} else {
  writeFileSync(TARGET, made);
}
