import { defineConfig } from 'vite';

// Relative addresses: the bundle works at whatever path a proxy shows it.
export default defineConfig({
  root: import.meta.dirname,
  base: './',
  logLevel: 'warn',
  resolve: { alias: { '@slipway/sdk': new URL('../sdk/src/client.ts', import.meta.url).pathname } },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    // The first ones with light-dark(), which keeps each colour in one place.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    modulePreload: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1200,
  },
});
