#!/bin/sh
# Make chat/static/chat/vendor anew from the packages of the npm registry, at the versions written here.
# Only for those who change them: what it makes is in the repository. Needs Node.js and the network.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
target=$here/../../chat/static/chat/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --no-audit --no-fund --silent markdown-it@14.1.0 @highlightjs/cdn-assets@11.12.0 dompurify@3.4.18 esbuild@0.28.2

rm -rf "$target/markdown-it" "$target/highlight" "$target/dompurify"
mkdir -p "$target/markdown-it" "$target/highlight/languages" "$target/dompurify"

# The same parser as the server's, which is its port to Python; without what is switched off there too.
npx esbuild node_modules/markdown-it/index.mjs --bundle --minify --format=esm --target=es2022 --log-level=error \
    "--alias:linkify-it=$here/linkify.js" "--alias:entities=$here/entities.js" \
    "--outfile=$target/markdown-it/markdown-it.min.js"
for package in markdown-it mdurl uc.micro punycode.js; do
    echo "--- $package ---"
    cat "node_modules/$package"/LICENSE*
    echo
done >"$target/markdown-it/LICENSE"

cp node_modules/@highlightjs/cdn-assets/LICENSE "$target/highlight/LICENSE"
cp node_modules/@highlightjs/cdn-assets/es/core.min.js "$target/highlight/core.min.js"
for language in bash cpp csharp css diff dockerfile go ini java json kotlin markdown php python ruby rust shell sql \
    typescript xml yaml; do
    cp "node_modules/@highlightjs/cdn-assets/es/languages/$language.min.js" "$target/highlight/languages/"
done

cp node_modules/dompurify/LICENSE "$target/dompurify/LICENSE"
sed '/^\/\/# sourceMappingURL=/d' node_modules/dompurify/dist/purify.min.js >"$target/dompurify/purify.min.js"
