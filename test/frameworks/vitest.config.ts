import { defineConfig } from 'vitest/config';

// `npm run test:frameworks`: needs python3 (3.11 or newer) with venv, and PyPI at the first run. See README.md.
export default defineConfig({
  test: {
    include: ['test/frameworks/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 30 * 60_000,
    hookTimeout: 30 * 60_000,
  },
});
