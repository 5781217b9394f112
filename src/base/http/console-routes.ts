import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { SlipwayError } from '../errors.ts';

/** The built console, in a checkout as in the built package at the same place from here. */
const BUNDLE = join(import.meta.dirname, '../../../console/dist');
/** Its page names a base that is replaced by the way back to `…/console/` from wherever the page is opened. */
const BASE = '<base href="./"';

/** No inline script or style, nothing from elsewhere, and no text of ours or anybody's is ever made into markup. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const TYPES: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};
const FILE = /^assets\/([\w-]+(?:\.[\w-]+)*\.(js|css|svg))$/;
const OPEN_QUERY = Type.Object({}, { additionalProperties: true });

/**
 * The console's one bundle. Every address below `/console/` that is no file of it is the same page, whose script shows what the address
 * says. All references are relative, so that it works behind whatever prefix a proxy puts before it and takes off again.
 */
export function registerConsoleRoutes(app: FastifyInstance, bundle: string = BUNDLE): void {
  const page = (): string | null => {
    const path = join(bundle, 'index.html');
    return existsSync(path) ? readFileSync(path, 'utf8') : null;
  };
  const files = new Map<string, Promise<Buffer>>();
  const config = { permission: 'public' as const };
  const hidden = (summary: string) => ({ tags: ['server'], summary, hide: true, querystring: OPEN_QUERY });

  // Relative, because what a proxy puts before the path is known to the browser only.
  app.get(
    '/',
    { config, schema: { tags: ['server'], summary: 'Leads to the console', hide: true } },
    async (_request, reply) => reply.redirect(page() === null ? 'api/docs' : 'console/'),
  );
  app.get('/console', { config, schema: hidden('Leads to the console') }, async (_request, reply) =>
    reply.redirect('console/'),
  );
  app.get('/console/*', { config, schema: hidden('The console') }, async (request, reply) => {
    const raw = (request.raw.url ?? '').replace(/[?#].*$/, '').slice('/console/'.length);
    if (raw.startsWith('assets/')) {
      const [name, , extension] = FILE.exec(raw) ?? [];
      const compressed = name === undefined ? null : await fileOf(join(bundle, name));
      if (compressed === null) throw new SlipwayError('route_not_found', 'The console has no such file');
      return reply
        .header('content-encoding', 'gzip')
        .header('cache-control', 'public, max-age=31536000, immutable')
        .type(TYPES[extension!]!)
        .send(compressed);
    }
    const text = page();
    if (text === null) {
      throw new SlipwayError('not_ready', 'The console is not built', {
        hint: 'Run `npm run console` in the folder of the checkout, and load this page again.',
      });
    }
    const up = '../'.repeat(raw.split('/').length - 1) || './';
    return reply
      .header('content-security-policy', PAGE_POLICY)
      .header('cross-origin-opener-policy', 'same-origin')
      .type('text/html; charset=utf-8')
      .send(text.replace(BASE, `<base href="${up}"`));
  });

  /** Names carry a hash of what is in them: compressed once, kept as long as the server runs. */
  async function fileOf(path: string): Promise<Buffer | null> {
    const known = files.get(path) ?? readFile(path).then((bytes) => promisify(gzip)(bytes, { level: 9 }));
    files.set(path, known);
    try {
      return await known;
    } catch {
      files.delete(path);
      return null;
    }
  }
}
