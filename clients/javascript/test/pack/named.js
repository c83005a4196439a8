/** Which types of the package are named by what it exports, and have no name for those who import it. */

import { join } from 'node:path';

/**
 * @param {typeof import('typescript')} ts
 * @param {string} folder of a project that has installed the package
 * @param {string[]} entries
 * @returns {string[]} what is named by whom, a line each
 */
export function unnamed(ts, folder, entries) {
  const own = join(folder, 'node_modules/herenow/types/');
  const files = entries.map((entry) => join(own, `${entry}.d.ts`));
  const program = ts.createProgram(files, {
    module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16, target: ts.ScriptTarget.ES2022, types: [],
  });
  const checker = program.getTypeChecker();
  const real = (symbol) => (symbol && symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
  const exportsOf = (file) => checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file))).map(real);
  const core = exportsOf(files[0]);
  const found = new Set();

  for (const file of files) {
    const named = new Set([...core, ...exportsOf(file)]);
    const seen = new Set();
    const visit = (symbol) => {
      if (seen.has(symbol)) return;
      seen.add(symbol);
      for (const declaration of symbol.declarations ?? []) look(declaration, symbol);
    };
    const look = (node, within) => {
      // Nobody makes these: `connect` does.
      if (ts.isConstructorDeclaration(node)) return;
      const name = ts.isTypeReferenceNode(node) ? node.typeName
        : ts.isExpressionWithTypeArguments(node) ? node.expression
          : ts.isImportTypeNode(node) ? node.qualifier : undefined;
      const symbol = name && real(checker.getSymbolAtLocation(name));
      const isOwn = symbol?.declarations?.some((each) => (
        each.getSourceFile().fileName.startsWith(own) && !ts.isTypeParameterDeclaration(each)
      ));
      if (isOwn) {
        if (named.has(symbol)) visit(symbol);
        else found.add(`${symbol.name}, named by ${within.name} of ${file.slice(own.length)}`);
      }
      ts.forEachChild(node, (child) => look(child, within));
    };
    for (const symbol of exportsOf(file)) visit(symbol);
  }
  return [...found];
}
