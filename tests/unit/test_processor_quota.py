"""The processor time that control groups allow, from files as Linux has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocog_core.toolkit import limit_threads, processor_quota

V2 = "30 23 0:26 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
V1 = "32 31 0:29 {root} /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
OTHER = (
    "36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n21 1 0:4 / / rw - ext4 a rw\n"
)


def make_root(folder: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    files = {"proc/self/cgroup": groups, "proc/self/mountinfo": OTHER + mounts} | {
        f"sys/fs/cgroup/{name}": text for name, text in files.items()
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def v1_files(group: str, quota: str) -> dict[str, str]:
    return {
        f"cpu{group}/cpu.cfs_quota_us": quota + "\n",
        f"cpu{group}/cpu.cfs_period_us": "100000\n",
    }


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "expected"),
    [
        pytest.param("0::/\n", V2, {"cpu.max": "150000 100000\n"}, 1.5, id="v2 in a container"),
        pytest.param("0::/\n", V2, {"cpu.max": "max 100000\n"}, None, id="v2 without a limit"),
        pytest.param("0::/\n", V2, {}, None, id="v2 at the root of a machine"),
        pytest.param(
            "0::/a.slice/b.scope\n",
            V2,
            {"a.slice/cpu.max": "200000 50000\n", "a.slice/b.scope/cpu.max": "max 50000\n"},
            4.0,
            id="v2 below a limited group",
        ),
        pytest.param(
            "0::/../x\n",
            V2,
            {"cpu.max": "50000 100000\n"},
            0.5,
            id="v2 seen from another namespace",
        ),
        pytest.param(
            "3:memory:/m\n2:cpu,cpuacct:/docker/7f\n0::/\n",
            V1.format(root="/docker/7f"),
            v1_files("", "300000"),
            3.0,
            id="v1 in a container",
        ),
        pytest.param(
            "2:cpu,cpuacct:/a/b\n",
            V1.format(root="/"),
            v1_files("/a", "-1") | v1_files("/a/b", "250000"),
            2.5,
            id="v1 on a machine",
        ),
        pytest.param("2:cpu:/\n", V1.format(root="/"), v1_files("", "-1"), None, id="v1 unlimited"),
        pytest.param("1:name=systemd:/\n", "", {}, None, id="no group for processors"),
    ],
)
def test_the_quota_is_the_lowest_of_the_group_and_those_above(
    tmp_path: Path, groups: str, mounts: str, files: dict[str, str], expected: float | None
) -> None:
    assert processor_quota(root=make_root(tmp_path, groups, mounts, files)) == expected


def test_threads_fill_the_quota_but_never_exceed_the_given_count(tmp_path: Path) -> None:
    root = make_root(tmp_path, "0::/\n", V2, {"cpu.max": "150000 100000\n"})
    assert [limit_threads(count, root=root) for count in (1, 2, 8)] == [1, 2, 2]
    root = make_root(tmp_path, "0::/\n", V2, {"cpu.max": "1000 100000\n"})
    assert limit_threads(8, root=root) == 1
    assert limit_threads(8, root=tmp_path / "nothing") == 8
    assert limit_threads(8) <= 8
