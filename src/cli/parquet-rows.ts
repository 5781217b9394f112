/** Rows of a Parquet file, some at a time, by DuckDB; a module of its own because few commands need that library. */
import { access } from 'node:fs/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import { CliError } from './cli-error.ts';

export type ParquetFile = {
  /** Names of the columns, with their types as DuckDB names them. */
  readonly columns: ReadonlyMap<string, string>;
  /** Values of these columns, in their order: null, boolean, number, bigint, text, Date, bytes, lists and objects. */
  rows(columns: readonly string[]): AsyncGenerator<readonly unknown[]>;
  close(): void;
};

/** @throws CliError for a file that cannot be read */
export async function openParquet(file: string): Promise<ParquetFile> {
  await access(file);
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  const connection = await instance.connect();
  const close = (): void => {
    connection.closeSync();
    instance.closeSync();
  };
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      close();
      throw new CliError('validation', `${file} is no Parquet file that can be read`, {
        code: 'invalid_request',
        hint: 'Was it written to its end?',
        cause,
      });
    }
  };
  // Stars and the like in its name mean themselves.
  const path = `'${file.replaceAll(/[*?[]/g, '[$&]').replaceAll("'", "''")}'`;
  const described = await guarded(() =>
    connection.runAndReadAll(`describe select * from read_parquet(${path}, hive_partitioning = false)`),
  );
  const columns = new Map(
    described.getRowObjectsJS().map((row) => [String(row['column_name']), String(row['column_type'])]),
  );
  return {
    columns,
    async *rows(names) {
      const list = names.map((name) => `"${name.replaceAll('"', '""')}"`).join(', ');
      const sql = `select ${list} from read_parquet(${path}, hive_partitioning = false)`;
      const chunks = (await guarded(() => connection.stream(sql))).yieldRowsJs();
      for (;;) {
        const { value, done } = await guarded(() => chunks.next());
        if (done) return;
        yield* value;
      }
    },
    close,
  };
}
