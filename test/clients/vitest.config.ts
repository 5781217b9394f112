import { defineConfig } from 'vitest/config';

// `npm run test:clients`: needs python3 (3.11 or newer) with venv, and PyPI at the first run; ghz, or go to make it. See README.md.
export default defineConfig({
  test: {
    include: ['test/clients/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 10 * 60_000,
  },
});
