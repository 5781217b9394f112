import { marked, type Token, type Tokens } from 'marked';
import { Fragment, type ReactNode } from 'react';

/**
 * A model's card. It is hostile text: tokens become elements one by one, markup in it stays text, pictures are not loaded, and links lead to
 * the web or to mail only.
 */
export function Markdown({ text }: { text: string }) {
  return <div className="markdown">{blocks(marked.lexer(text.slice(0, 200_000)))}</div>;
}

/** @param tight in a list, whose items are no paragraphs */
function blocks(tokens: readonly Token[], tight = false): ReactNode {
  return tokens.map((token, i) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: the text does not change in place
    <Fragment key={i}>{tight && token.type === 'text' ? inline(token.tokens ?? [token]) : block(token)}</Fragment>
  ));
}

function block(token: Token): ReactNode {
  switch (token.type) {
    case 'heading': {
      // A card's first heading is below the page's own.
      const Heading = `h${Math.min(6, (token as Tokens.Heading).depth + 2)}` as 'h3';
      return <Heading>{inline(token.tokens)}</Heading>;
    }
    case 'paragraph':
    case 'text':
      return token.tokens ? <p>{inline(token.tokens)}</p> : <p>{(token as Tokens.Text).text}</p>;
    case 'code':
      return <pre>{(token as Tokens.Code).text}</pre>;
    case 'blockquote':
      return <blockquote>{blocks(token.tokens ?? [])}</blockquote>;
    case 'list': {
      const { ordered, items } = token as Tokens.List;
      const List = ordered ? 'ol' : 'ul';
      return (
        <List>
          {items.map((item, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the text does not change in place
            <li key={i}>{blocks(item.tokens, true)}</li>
          ))}
        </List>
      );
    }
    case 'table': {
      const { header, rows } = token as Tokens.Table;
      return (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                {header.map((cell, i) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: the text does not change in place
                  <th key={i} scope="col">
                    {inline(cell.tokens)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row, i) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: the text does not change in place
                <tr key={i}>
                  {row.map((cell, j) => (
                    // biome-ignore lint/suspicious/noArrayIndexKey: the text does not change in place
                    <td key={j}>{inline(cell.tokens)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      );
    }
    case 'hr':
      return <hr />;
    case 'space':
    case 'def':
      return null;
    default:
      return <p>{token.raw}</p>;
  }
}

function inline(tokens: readonly Token[] = []): ReactNode {
  return tokens.map((token, i) => {
    // biome-ignore lint/suspicious/noArrayIndexKey: the text does not change in place
    return <Fragment key={i}>{phrase(token)}</Fragment>;
  });
}

function phrase(token: Token): ReactNode {
  switch (token.type) {
    case 'strong':
      return <strong>{inline(token.tokens)}</strong>;
    case 'em':
      return <em>{inline(token.tokens)}</em>;
    case 'del':
      return <del>{inline(token.tokens)}</del>;
    case 'codespan':
      return <code>{(token as Tokens.Codespan).text}</code>;
    case 'br':
      return <br />;
    case 'link': {
      const { href } = token as Tokens.Link;
      const safe = /^(https?:\/\/|mailto:)/i.test(href);
      const words = inline(token.tokens);
      return safe ? (
        <a href={href} target="_blank" rel="noopener noreferrer">
          {words}
        </a>
      ) : (
        words
      );
    }
    case 'image':
      return <span className="quiet">[picture: {(token as Tokens.Image).text || 'without words'}]</span>;
    case 'escape':
      return (token as Tokens.Escape).text;
    case 'text':
      return token.tokens ? inline(token.tokens) : (token as Tokens.Text).text;
    default:
      return token.raw;
  }
}
