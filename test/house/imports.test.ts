import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

/**
 * The rule of the house: imports point back towards the start of a model's way, never forward.
 *
 *     base <- registry <- serving <- monitoring <- rollouts
 *
 * Programs (control, gateway, runner) may import every room. The CLI and the SDK are clients: they speak to servers over HTTP.
 */
const ROOMS: Record<string, readonly string[]> = {
  base: ['base'],
  registry: ['base', 'registry'],
  serving: ['base', 'registry', 'serving'],
  monitoring: ['base', 'registry', 'serving', 'monitoring'],
  rollouts: ['base', 'registry', 'serving', 'monitoring', 'rollouts'],
  program: ['base', 'registry', 'serving', 'monitoring', 'rollouts', 'program'],
  cli: ['base', 'cli', 'sdk'],
  sdk: ['sdk'],
};

const root = resolve(import.meta.dirname, '../..');

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.ts$/.test(entry.name) && !/\.test\.ts$|-conformance\.ts$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !/node_modules|\/dist\//.test(path));
}

function roomOf(path: string): string {
  if (path.startsWith('sdk/')) return 'sdk';
  const parts = path.split('/');
  if (parts.length === 2) return parts[1] === 'cli.ts' ? 'cli' : 'program';
  return parts[1] ?? '';
}

function codeOf(path: string): string {
  return readFileSync(join(root, path), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}

/** Every module specifier of a file, static or dynamic, types included. */
function importsOf(path: string): string[] {
  const text = codeOf(path);
  return [...text.matchAll(/(?:from\s+|import\s*\(\s*|import\s+)'([^']+)'/g)].map((match) => match[1] ?? '');
}

const files = [...sources('src'), ...sources('sdk/src')];
const arrows = files.flatMap((from) =>
  importsOf(from).map((specifier) => ({
    from,
    specifier,
    to: specifier.startsWith('.') ? relative(root, resolve(root, dirname(from), specifier)) : null,
  })),
);

describe('imports', () => {
  test('there are files and arrows to look at', () => {
    expect(files.length).toBeGreaterThan(30);
    expect(arrows.length).toBeGreaterThan(100);
  });

  test('never point to a later room', () => {
    const wrong = arrows
      .filter((arrow) => arrow.to !== null)
      .filter((arrow) => !ROOMS[roomOf(arrow.from)]?.includes(roomOf(arrow.to ?? '')))
      .map((arrow) => `${arrow.from} -> ${arrow.to}`);
    expect(wrong).toEqual([]);
  });

  test('of the database stand in stores, migrations and base/db only', () => {
    const wrong = arrows
      .filter((arrow) => ['kysely', 'pg', 'node:sqlite'].includes(arrow.specifier))
      .filter((arrow) => !/-store\.ts$|^src\/base\/db\//.test(arrow.from))
      .map((arrow) => `${arrow.from} -> ${arrow.specifier}`);
    expect(wrong).toEqual([]);
  });

  test('of HTTP stand in routes, protocols, the servers and the CLI, which is a client, only', () => {
    const wrong = arrows
      .filter((arrow) => arrow.specifier === 'fastify' || arrow.specifier === 'node:http')
      .filter(
        (arrow) =>
          !/-routes\.ts$|^src\/base\/http\/|^src\/serving\/(protocols|gateway)\/|^src\/control-rooms\.ts$|^src\/cli\//.test(
            arrow.from,
          ),
      )
      .map((arrow) => `${arrow.from} -> ${arrow.specifier}`);
    expect(wrong).toEqual([]);
  });

  test('of the native engine stand in its engine file only', () => {
    const wrong = arrows.filter(
      (arrow) => arrow.specifier === 'onnxruntime-node' && arrow.from !== 'src/serving/engines/onnxruntime.ts',
    );
    expect(wrong).toEqual([]);
  });

  test('do not form a circle between files', () => {
    // Files that run one another at load: types alone, and what is imported later, make no circle.
    const next = new Map(
      files.map((from) => {
        const runs = [...codeOf(from).matchAll(/^(?:import|export)\s+(?!type\b)[^;]*?from\s+'(\.[^']+)'/gm)];
        return [from, runs.map((match) => relative(root, resolve(root, dirname(from), match[1] ?? '')))];
      }),
    );
    expect([...next.values()].flat().length).toBeGreaterThan(100);
    const done = new Set<string>();
    const circles: string[] = [];
    const walk = (file: string, trail: readonly string[]): void => {
      if (trail.includes(file)) {
        circles.push([...trail.slice(trail.indexOf(file)), file].join(' -> '));
        return;
      }
      if (done.has(file)) return;
      for (const to of next.get(file) ?? []) walk(to, [...trail, file]);
      done.add(file);
    };
    for (const file of files) walk(file, []);
    expect(circles).toEqual([]);
  });

  test('the sdk depends on nothing', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'sdk/package.json'), 'utf8')) as Record<string, unknown>;
    expect(manifest['dependencies'] ?? {}).toEqual({});
    const foreign = arrows.filter(
      (arrow) => arrow.from.startsWith('sdk/') && arrow.to === null && !arrow.specifier.startsWith('node:'),
    );
    expect(foreign).toEqual([]);
  });

  test('the server has at most 40 runtime dependencies, and they are named', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const named = Object.keys(manifest.dependencies);
    expect(named.length).toBeLessThanOrEqual(40);
    const used = new Set(
      arrows
        .filter((arrow) => arrow.to === null && !arrow.specifier.startsWith('node:'))
        .map((arrow) => /^(@[^/]+\/[^/]+|[^/]+)/.exec(arrow.specifier)?.[1] ?? ''),
    );
    expect([...used].filter((name) => !named.includes(name) && name !== 'pg')).toEqual([]);
    expect(named.filter((name) => !used.has(name))).toEqual([]);
  });
});

describe('files', () => {
  test('have names in kebab case, and no drawer for everything', () => {
    const wrong = files.filter((path) => {
      const name = path.split('/').at(-1) ?? '';
      return !/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/.test(name) || /\b(utils?|common|helpers|misc|index)\b/.test(path);
    });
    expect(wrong).toEqual([]);
  });

  test('stay within 400 lines', () => {
    const long = files
      .map((path) => ({ path, lines: readFileSync(join(root, path), 'utf8').split('\n').length }))
      .filter((file) => file.lines > 400);
    expect(long).toEqual([]);
  });
});
