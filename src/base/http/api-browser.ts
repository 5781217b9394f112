import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type FastifyInstance, fastify } from 'fastify';

const SCRIPT = '/api/docs/browser.js';

/** Nothing is fetched from elsewhere, and the browser is told to see to it. The page styles itself from script, hence inline styles. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const CONFIGURATION = JSON.stringify({
  withDefaultFonts: false,
  telemetry: false,
  hideClientButton: true,
  showDeveloperTools: 'never',
  agent: { disabled: true },
  mcp: { disabled: true },
  persistAuth: false,
  hideModels: true,
  authentication: { preferredSecurityScheme: 'key' },
});

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Slipway management API</title>
</head>
<body>
<script id="api-reference" data-url="/api/openapi.json" data-configuration="${CONFIGURATION.replaceAll('"', '&quot;')}"></script>
<script src="${SCRIPT}"></script>
</body>
</html>
`;

/**
 * A page to browse the API. Its script is 4 MB inside a module of as much, which would cost 22 MB of every idle server: it is
 * loaded when the page is first opened, and kept compressed.
 */
export function registerApiBrowser(app: FastifyInstance): void {
  let script: Promise<Buffer> | undefined;
  app.get(
    '/api/docs',
    {
      config: { permission: 'public' },
      schema: { tags: ['server'], summary: 'A page to browse this API', hide: true },
    },
    async (_request, reply) =>
      reply.header('content-security-policy', PAGE_POLICY).type('text/html; charset=utf-8').send(PAGE),
  );
  app.get(
    SCRIPT,
    { config: { permission: 'public' }, schema: { tags: ['server'], summary: 'Script of that page', hide: true } },
    async (_request, reply) => {
      script ??= loadScript();
      return reply
        .header('content-encoding', 'gzip')
        .header('cache-control', 'private, max-age=3600')
        .type('text/javascript; charset=utf-8')
        .send(await script);
    },
  );
}

/** The package gives its script only through routes of its own; they are asked in memory. */
async function loadScript(): Promise<Buffer> {
  const { default: plugin } = await import('@scalar/fastify-api-reference');
  const host = fastify();
  await host.register(plugin, { routePrefix: '/', configuration: { url: '/api/openapi.json' } });
  const answer = await host.inject('/js/scalar.js');
  await host.close();
  if (answer.statusCode !== 200) throw new Error(`the script of the API browser is missing (${answer.statusCode})`);
  return promisify(gzip)(answer.rawPayload);
}
