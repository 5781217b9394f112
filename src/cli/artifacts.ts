import { count, formatBytes } from './terminal.ts';
import type { NounSpec } from './verb.ts';

export const artifacts: NounSpec = {
  verbs: [
    {
      name: 'collect',
      summary: 'Free the space of stored files that nothing refers to',
      about:
        'Removes stored bytes that no version refers to, and uploads that were given up. Files stay for a while after the last version that named them is gone. Needs a key with admin in every project.',
      examples: [
        ['slipway artifacts collect --dry-run', 'how much it would free'],
        ['slipway artifacts collect', 'frees it'],
      ],
      changes: true,
      async run(call) {
        const client = await call.client();
        const collected = await client.collectArtifacts({
          dryRun: call.dryRun,
          signal: call.signal,
          timeoutMs: 10 * 60_000,
        });
        call.out.result('artifacts.collect', { ...collected, dryRun: call.dryRun }, () => {
          const { blobs, bytes, uploads } = collected;
          const what = `${count(blobs, 'stored file')} (${formatBytes(bytes)}) and ${count(uploads, 'upload')} that ${uploads === 1 ? 'was' : 'were'} given up`;
          return call.dryRun ? `Would remove ${what}. Nothing was changed.` : `Removed ${what}`;
        });
      },
    },
  ],
};
