import { defineConfig } from 'vitest/config';

// `npm run test:container`: needs podman or docker, and a base image. See container.test.ts.
export default defineConfig({
  test: {
    include: ['test/container/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 20 * 60_000,
  },
});
