/** The databases the stores run on. What differs between them is told by this word and nothing else. */
export type Dialect = 'sqlite' | 'postgres';
