set -eu
export GIT_AUTHOR_DATE="2026-01-01T00:00:00Z" GIT_COMMITTER_DATE="2026-01-01T00:00:00Z"
git init -q -b main repo; cd repo
who() { git -c user.name=$1 -c user.email=$1@example.com commit -q -a -m "$2"; }
doc() { printf 'apiVersion: stationkeeper/v1\nkind: %s\nmetadata: {name: %s}\nspec: %s\n' "$1" "$2" "$3"; }
mkdir -p team/net
{ doc User ada '{emails: [ada@example.com]}'; echo ---; doc User bob '{emails: [bob@example.com]}'; echo ---; doc User eve '{emails: [eve@example.com]}'; } > users.yaml
doc Space team '{}' > team/space.yaml
doc RoleBinding writers '{role: writer, subjects: [{user: bob}]}' > team/bindings.yaml
{ doc Stack one '{tool: script, script: {apply: "true"}, env: {A: "1"}}'; echo ---; doc Stack two '{tool: script, script: {apply: "true"}}'; } > team/stacks.yaml
doc Stack net '{tool: script, source: {path: ./net}, script: {apply: "sh net.sh"}}' > team/net.yaml
echo true > team/net/net.sh
git add .; who ada "Begin"
cd ..; 
export STATION_CONFIG_URL=file://$PWD/repo STATION_DATA_DIR=$PWD/data STATION_IDENTITY=committer STATION_ADMINS=ada@example.com STATION_SANDBOX=off
$STATION reconcile > /dev/null 2>&1 || true
cd repo
# eve: a held update, a held new document beside it, held files of a source
sed -i 's/A: "1"/A: "evil"/' team/stacks.yaml; { echo ---; doc Stack three '{tool: script, script: {apply: "true"}}'; } >> team/stacks.yaml; echo evil > team/net/net.sh
git add .; who eve "Take over"
cd ..; $STATION reconcile > /dev/null 2>&1 || true
cd repo
# bob: a broken document, and a new one that names what is not there
sed -i 's/name: two}/name: two}\nbroken: yes/' team/stacks.yaml
doc Stack late '{tool: script, script: {apply: "true"}, contexts: [none]}' > team/late.yaml
git add .; who bob "Break"
cd ..; $STATION reconcile -o json > out.json 2> err.txt || true
cd repo; git rm -q team/late.yaml; git checkout -q HEAD -- . ; cd ..
