import type { Page } from '@slipway/sdk';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { useSearchText, useSetSearch } from '../address.ts';
import { Loaded } from './loaded.tsx';

export type Column<T> = { title: string; cell: (row: T) => ReactNode; kind?: 'number' | 'wide' };

export function Table<T>(props: {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  idOf: (row: T) => string;
}) {
  const { label, columns, rows, idOf } = props;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide table scrolls sideways, by keyboard too
    <section className="scroll" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col" className={column.kind}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={idOf(row)}>
              {columns.map((column, i) =>
                i === 0 ? (
                  <th key={column.title} scope="row" className={column.kind}>
                    {column.cell(row)}
                  </th>
                ) : (
                  <td key={column.title} className={column.kind}>
                    {column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

export const PAGE_ROWS = 100;

/** One page of a list of the server; which one is in the address, and no more rows than one page are ever drawn. */
export function PagedTable<T>(props: {
  label: string;
  columns: readonly Column<T>[];
  idOf: (row: T) => string;
  query: UseQueryResult<Page<T>>;
  empty: ReactNode;
  /** Word of the address that holds the cursor. */
  word?: string;
}) {
  const { word = 'after', query, empty, ...table } = props;
  const after = useSearchText(word);
  const setSearch = useSetSearch();
  return (
    <Loaded query={query}>
      {({ items, nextCursor }) => (
        <>
          {items.length === 0 && after === undefined ? empty : <Table {...table} rows={items} />}
          {(after !== undefined || nextCursor !== null) && (
            <div className="pager">
              <button type="button" disabled={after === undefined} onClick={() => setSearch({ [word]: undefined })}>
                First page
              </button>
              <button
                type="button"
                disabled={nextCursor === null}
                onClick={() => setSearch({ [word]: nextCursor ?? undefined })}
              >
                Next page
              </button>
              <span className="quiet">
                {items.length} {items.length === 1 ? 'row' : 'rows'}
                {nextCursor === null ? ', the last ones' : ''}
              </span>
            </div>
          )}
        </>
      )}
    </Loaded>
  );
}
