import type { Page } from '@slipway/sdk';
import type { UseQueryResult } from '@tanstack/react-query';
import { useVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useRef } from 'react';
import { useSearchText, useSetSearch } from '../address.ts';
import { Loaded } from './loaded.tsx';

export type Column<T> = { title: string; cell: (row: T) => ReactNode; kind?: 'number' | 'wide' };

/** Of more rows than this only those are drawn that are near what is seen. */
const MANY_ROWS = 150;
const ROW_PX = 33;

export function Table<T>(props: {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  idOf: (row: T) => string;
}) {
  const { label, columns, rows, idOf } = props;
  const box = useRef<HTMLElement>(null);
  const isMany = rows.length > MANY_ROWS;
  const virtual = useVirtualizer({
    enabled: isMany,
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_PX,
    getItemKey: (index) => idOf(rows[index]!),
    overscan: 20,
  });
  const seen = virtual.getVirtualItems();
  const drawn = isMany
    ? seen.map(({ index }) => ({ row: rows[index]!, index }))
    : rows.map((row, index) => ({ row, index }));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide table scrolls sideways, by keyboard too
    <section ref={box} className={isMany ? 'scroll many' : 'scroll'} aria-label={label} tabIndex={0}>
      <table aria-rowcount={isMany ? rows.length + 1 : undefined}>
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
          {isMany && <Gap px={seen[0]?.start ?? 0} />}
          {drawn.map(({ row, index }) => (
            <tr
              key={idOf(row)}
              ref={isMany ? virtual.measureElement : undefined}
              data-index={index}
              aria-rowindex={isMany ? index + 2 : undefined}
            >
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
          {isMany && <Gap px={virtual.getTotalSize() - (seen.at(-1)?.end ?? 0)} />}
        </tbody>
      </table>
    </section>
  );
}

/** In place of rows that are not drawn. */
function Gap({ px }: { px: number }) {
  return (
    <tr className="gap">
      <td style={{ height: px }} />
    </tr>
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
