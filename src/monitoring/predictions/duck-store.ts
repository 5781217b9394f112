/** DuckDB, in memory and in this process: it reads and writes the files of the log. Only SQL of ours is run, with values as parameters. */
import { type DuckDBConnection, DuckDBInstance, type DuckDBValue } from '@duckdb/node-api';

export type Duck = {
  rows(sql: string, parameters?: readonly DuckDBValue[]): Promise<Record<string, unknown>[]>;
  run(sql: string, parameters?: readonly DuckDBValue[]): Promise<void>;
  readonly connection: DuckDBConnection;
};

export type DuckStore = {
  /** Does some work on a connection of its own; at most two at a time. */
  use<T>(work: (duck: Duck) => Promise<T>): Promise<T>;
  close(): void;
};

const AT_ONCE = 2;

/** Opened at the first use: most servers log nothing, and the library takes some 70 MB. */
export function createDuckStore(options: { readonly temporary: string; readonly memoryMb?: number }): DuckStore {
  let instance: Promise<DuckDBInstance> | null = null;
  let running = 0;
  const waiting: (() => void)[] = [];
  return {
    async use(work) {
      if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
      else running += 1;
      try {
        instance ??= DuckDBInstance.create(':memory:', {
          memory_limit: `${options.memoryMb ?? 1024}MB`,
          temp_directory: options.temporary,
          threads: '2',
          autoinstall_known_extensions: 'false',
          autoload_known_extensions: 'false',
          // It knows a file by its size and the second of its last change, and would go on with a damaged one that was put right.
          enable_external_file_cache: 'false',
        });
        const connection = await (await instance).connect();
        try {
          return await work({
            connection,
            async rows(sql, parameters = []) {
              const reader = await connection.runAndReadAll(sql, [...parameters]);
              return reader.getRowObjectsJS() as Record<string, unknown>[];
            },
            async run(sql, parameters = []) {
              await connection.run(sql, [...parameters]);
            },
          });
        } finally {
          connection.closeSync();
        }
      } finally {
        const next = waiting.shift();
        if (next === undefined) running -= 1;
        else next();
      }
    },
    close() {
      void instance?.then((one) => one.closeSync());
      instance = null;
    },
  };
}

/** A text in SQL, for places where no parameter can stand. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
