import { defineConfig } from 'vitest/config';

// Optional suites (containers, foreign clients) have configurations of their own, so `npm test` never needs what they need.
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'sdk/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'test/clients/**', 'test/container/**', 'test/frameworks/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Real processes, limits of time and two workers on what may be two busy cores: a fault fails three times, a stolen second does not.
    retry: 2,
  },
});
