#!/bin/sh
# page.sh PALISADE [PICTURE]: the page of examples/e-commerce with a denial explained, as headless Chromium shows it.
set -eu
palisade=$1
picture=${2:-docs/connections.png}
sh scripts/need.sh chromium:chromium
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$palisade" connections -f examples/e-commerce -o html > "$folder/page.html"
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$folder/profile" \
	--blink-settings=preferredColorScheme=1 --window-size=1500,800 --virtual-time-budget=4000 \
	--screenshot="$folder/page.png" "file://$folder/page.html#from=ecommerce/web&to=ecommerce/postgres" 2>/dev/null
mv "$folder/page.png" "$picture"
ls -l "$picture"
