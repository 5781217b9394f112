import { useEffect, useId, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

export type Line = { name: string; values: readonly (number | null)[]; colour: string; dash?: number[] };

type ChartProps = {
  title: string;
  /** In one sentence what it shows. */
  sentence: string;
  /** Milliseconds since 1970. */
  at: readonly number[];
  lines: readonly Line[];
  format: (value: number | null) => string;
};

const HEIGHT = 150;

function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

/** A token as the canvas wants it: its colour as it is seen in this theme. */
function inkIn(place: HTMLElement, token: string): string {
  place.style.color = `var(${token})`;
  const { color } = getComputedStyle(place);
  place.style.color = '';
  return color;
}

/** Lines over time, told apart by dashes as well as colour, with the sentence and the table that say the same. */
export function Chart({ title, sentence, at, lines, format }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [dark, setDark] = useState(matchMedia('(prefers-color-scheme: dark)').matches);
  const [open, setOpen] = useState(false);
  const id = useId();
  const names = lines.map((line) => line.name).join();
  const theme = document.documentElement.dataset['theme'] ?? '';

  useEffect(() => {
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const look = () => setDark(scheme.matches);
    scheme.addEventListener('change', look);
    return () => scheme.removeEventListener('change', look);
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: other colours or lines need another plot; values are set below
  useEffect(() => {
    const here = box.current!;
    const inkOf = (colour: string) => inkIn(here, colour);
    const axis = { stroke: inkOf('--quiet'), grid: { stroke: inkOf('--line'), width: 1 }, ticks: { show: false } };
    const font = '11px system-ui, sans-serif';
    const made = new uPlot(
      {
        width: here.clientWidth || 300,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false } },
        scales: { y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.15 : 1] } },
        axes: [
          { ...axis, font, size: 26, space: 70, values: (_u, ticks) => ticks.map(clock) },
          { ...axis, font, size: 58, space: 32, values: (_u, ticks) => ticks.map((tick) => format(tick)) },
        ],
        series: [
          {},
          ...lines.map((line) => ({
            label: line.name,
            stroke: inkOf(line.colour),
            width: 1.6,
            points: { show: false },
            ...(line.dash ? { dash: line.dash } : {}),
          })),
        ],
      },
      [[], ...lines.map(() => [])] as unknown as uPlot.AlignedData,
      here,
    );
    plot.current = made;
    const resize = new ResizeObserver(() => made.setSize({ width: here.clientWidth, height: HEIGHT }));
    resize.observe(here);
    return () => {
      resize.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [dark, names, theme]);

  useEffect(() => {
    plot.current?.setData([at.map((ms) => ms / 1000), ...lines.map((line) => [...line.values])] as uPlot.AlignedData);
  });

  return (
    <figure className="chart" aria-labelledby={id}>
      <figcaption id={id}>
        <strong>{title}</strong>
        <span className="legend">
          {lines.map((line) => (
            <span key={line.name}>
              <svg viewBox="0 0 22 6" aria-hidden="true">
                <path
                  d="M0 3h22"
                  className="stroke"
                  style={{ stroke: `var(${line.colour})` }}
                  strokeDasharray={line.dash?.join(' ')}
                />
              </svg>
              {line.name} <b>{format(line.values.at(-1) ?? null)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={box} className="plot" aria-hidden="true" />
      <p className="small quiet">{sentence}</p>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary className="small">As a table</summary>
        {open && (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
          <div className="scroll short" tabIndex={0}>
            <table>
              <thead>
                <tr>
                  <th scope="col">time</th>
                  {lines.map((line) => (
                    <th key={line.name} scope="col" className="number">
                      {line.name}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {at.map((ms, i) => (
                  <tr key={ms}>
                    <th scope="row">{new Date(ms).toLocaleTimeString()}</th>
                    {lines.map((line) => (
                      <td key={line.name} className="number">
                        {format(line.values[i] ?? null)}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </details>
    </figure>
  );
}
