// Owns walking through lists, which come in pages.
export interface Page<Node> {
  nodes: readonly Node[];
  pageInfo: { hasNextPage: boolean; endCursor?: string | null };
}

/** Every row of a list; a page is asked for when the one before it has been read. */
export async function* all<Node>(
  ask: (after: string | null) => Promise<Page<Node>>,
): AsyncGenerator<Node, void> {
  let after: string | null = null;
  for (;;) {
    const page: Page<Node> = await ask(after);
    yield* page.nodes;
    if (!page.pageInfo.hasNextPage) return;
    after = page.pageInfo.endCursor ?? null;
  }
}
