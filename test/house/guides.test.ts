/** What guides tell people to type can be typed: the command line by its path in the clone, and files that are there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
/** Where Slipway is installed otherwise than as a clone. */
const ELSEWHERE = ['containers.md'];
const guides = readdirSync(join(root, 'docs/guides'))
  .filter((file) => file.endsWith('.md') && !ELSEWHERE.includes(file))
  .map((file) => ({ file, lines: readFileSync(join(root, 'docs/guides', file), 'utf8').split('\n') }));

/** Lines of code: indented by four, or between fences. */
function codeLines(lines: readonly string[]): string[] {
  let fenced = false;
  return lines.filter((line) => {
    if (line.startsWith('```')) {
      fenced = !fenced;
      return false;
    }
    return fenced || line.startsWith('    ');
  });
}

test('the command line is called by its path', () => {
  const bare = guides.flatMap(({ file, lines }) =>
    codeLines(lines)
      .filter((line) => /^\s*(?:[A-Z_]+=\S+ )*slipway /.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  );
  expect(bare).toEqual([]);
});

test('files of the repository that they name are there', () => {
  const named = guides.flatMap(({ file, lines }) =>
    codeLines(lines).flatMap((line) =>
      [...line.matchAll(/(?:examples|test\/fixtures|src)\/[\w./-]*\w/g)].map(([path]) => ({ file, path })),
    ),
  );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter(({ path }) => !existsSync(join(root, path)))).toEqual([]);
});
