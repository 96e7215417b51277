"""What stands beside every number."""

import subprocess
import sys

from benchmarks.report import command_line, command_text, commit, describe_run, versions


def test_facts_of_a_run():
    facts = describe_run(command_line("benchmarks", ["rd", "--data", "a b"]), seed=3)
    assert facts["command"] == "python -m benchmarks rd --data 'a b'"
    assert facts["seed"] == 3
    assert facts["date"].endswith("+00:00")
    assert facts["machine"]["cores"] >= 1 and facts["machine"]["cpu"]
    assert facts["versions"]["numpy"]


def test_folders_of_this_machine_stay_behind_their_variable(monkeypatch):
    monkeypatch.setenv("MDIC_DATA", "/home/me/kitti/")
    words = ["rd", "--data", "/home/me/kitti/test", "/home/me/kitti", "/home/me/kitti2", "/home/me/kitti/a b"]
    text = command_text(words)
    assert text == 'rd --data $MDIC_DATA/test $MDIC_DATA /home/me/kitti2 "$MDIC_DATA/a b"'
    monkeypatch.delenv("MDIC_DATA")
    assert "$" not in command_text(words)


def test_versions_of_missing_packages_are_none():
    assert versions(["numpy", "no-such-package-here"])["no-such-package-here"] is None


def test_commit_of_a_folder_without_history(tmp_path):
    assert commit(tmp_path) == {"hash": None, "dirty": None}


def test_commit_knows_a_dirty_tree(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "first")
    clean = commit(tmp_path)
    assert len(clean["hash"]) == 40 and clean["dirty"] is False
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path) == {"hash": clean["hash"], "dirty": True}


def test_results_of_a_run_do_not_make_the_tree_dirty(tmp_path):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "code.py").write_text("1")
    git("add", "-A")
    git("-c", "user.name=t", "-c", "user.email=t@e.org", "-c", "commit.gpgsign=false", "commit", "-m", "x")
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "benchmarks" / "results" / "rd.json").write_text("{}")
    (tmp_path / "README.md").write_text("table")
    assert commit(tmp_path)["dirty"] is False
    (tmp_path / "code.py").write_text("2")
    assert commit(tmp_path)["dirty"] is True


def test_asking_does_not_import_torch():
    code = "import sys; from benchmarks.report import machine; machine(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
