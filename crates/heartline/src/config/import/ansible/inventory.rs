//! Hosts, groups, and what their variables come to.

use std::collections::{HashMap, HashSet};

use anyhow::{anyhow, bail};

use super::budget::{Budget, MOST_HOSTS};
use super::tree::Tree;
use super::vars::Vars;

/// An inventory as it was read.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    hosts: Vec<Host>,
    host_at: HashMap<String, usize>,
    groups: Vec<Group>,
    group_at: HashMap<String, usize>,
    /// Which host is in which group.
    members: HashSet<(usize, usize)>,
    /// Which group is below which.
    below: HashSet<(usize, usize)>,
    pub(super) warnings: Vec<String>,
    pub(super) budget: Budget,
}

#[derive(Debug, Default)]
struct Host {
    name: String,
    vars: Vars,
    /// Of host_vars.
    file_vars: Vars,
    groups: Vec<usize>,
}

#[derive(Debug, Default)]
struct Group {
    name: String,
    vars: Vars,
    /// Of group_vars.
    file_vars: Vars,
    parents: Vec<usize>,
    /// How far it is below `all`, by its longest way; once settled.
    depth: usize,
}

/// A host, and all that holds for it.
#[derive(Debug)]
pub(super) struct Settled<'a> {
    pub(super) name: String,
    pub(super) vars: HashMap<&'static str, &'a Tree>,
    /// Its groups and theirs, in the order of the inventory, without `all` and `ungrouped`.
    pub(super) groups: Vec<String>,
}

impl Inventory {
    /// Adds a group, or finds it.
    pub(super) fn group(&mut self, name: &str) -> anyhow::Result<usize> {
        if let Some(at) = self.group_at.get(name) {
            return Ok(*at);
        }
        check_name(name, "group")?;
        let at = self.groups.len();
        if at >= MOST_HOSTS {
            bail!("the inventory has more than {MOST_HOSTS} groups, which is the limit");
        }
        self.groups.push(Group {
            name: name.to_owned(),
            ..Group::default()
        });
        self.group_at.insert(name.to_owned(), at);
        Ok(at)
    }

    pub(super) fn has_group(&self, name: &str) -> bool {
        self.group_at.contains_key(name)
    }

    /// Adds a host to a group, or finds it. It remembers a port only if it is new.
    pub(super) fn host(
        &mut self,
        name: &str,
        group: usize,
        port: Option<u16>,
    ) -> anyhow::Result<usize> {
        self.budget.spend(1)?;
        let at = match self.host_at.get(name) {
            Some(at) => *at,
            None => self.new_host(name, port)?,
        };
        if let Some(host) = self.hosts.get_mut(at)
            && self.members.insert((at, group))
        {
            host.groups.push(group);
        }
        Ok(at)
    }

    fn new_host(&mut self, name: &str, port: Option<u16>) -> anyhow::Result<usize> {
        check_name(name, "host")?;
        let at = self.hosts.len();
        if at >= MOST_HOSTS {
            bail!("the inventory has more than {MOST_HOSTS} hosts, which is the limit");
        }
        let mut host = Host {
            name: name.to_owned(),
            ..Host::default()
        };
        if let Some(port) = port {
            let port = Tree::Scalar(port.to_string());
            host.vars.set("ansible_port", port)?;
        }
        self.hosts.push(host);
        self.host_at.insert(name.to_owned(), at);
        Ok(at)
    }

    pub(super) fn set_host(&mut self, host: usize, vars: &Vars) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.vars.lay(vars);
        }
    }

    pub(super) fn set_group(
        &mut self,
        group: usize,
        name: &str,
        value: Tree,
    ) -> anyhow::Result<()> {
        match self.groups.get_mut(group) {
            Some(group) => group.vars.set(name, value),
            None => Ok(()),
        }
    }

    pub(super) fn child(&mut self, parent: usize, child: usize) -> anyhow::Result<()> {
        self.budget.spend(1)?;
        let is_new = self.below.insert((child, parent));
        if let Some(child) = self.groups.get_mut(child).filter(|_| is_new) {
            child.parents.push(parent);
        }
        Ok(())
    }

    pub(super) fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.name.as_str())
    }

    pub(super) fn host_names(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|host| host.name.as_str())
    }

    /// What group_vars says of a group.
    pub(super) fn set_group_file(&mut self, name: &str, vars: &Vars) {
        let at = self.group_at.get(name).copied();
        if let Some(group) = at.and_then(|at| self.groups.get_mut(at)) {
            group.file_vars.lay(vars);
        }
    }

    /// What host_vars says of a host.
    pub(super) fn set_host_file(&mut self, name: &str, vars: &Vars) {
        let at = self.host_at.get(name).copied();
        if let Some(host) = at.and_then(|at| self.hosts.get_mut(at)) {
            host.file_vars.lay(vars);
        }
    }

    /// Works out how deep each group lies. One that is below itself is an error, as in Ansible.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        self.group("all")?;
        self.group("ungrouped")?;
        let mut depths = vec![None; self.groups.len()];
        for at in 0..self.groups.len() {
            let depth = self.depth(at, &mut depths, 0)?;
            if let Some(group) = self.groups.get_mut(at) {
                group.depth = depth;
            }
        }
        Ok(())
    }

    fn depth(&self, at: usize, known: &mut [Option<usize>], way: usize) -> anyhow::Result<usize> {
        if let Some(Some(depth)) = known.get(at) {
            return Ok(*depth);
        }
        let Some(group) = self.groups.get(at) else {
            return Ok(0);
        };
        if way > self.groups.len() {
            bail!("the group {:?} is a child of itself", group.name);
        }
        let too_deep = || {
            anyhow!(
                "the group {:?} is below more than {MOST_DEEP} others, which is the limit, or is a child of itself",
                group.name
            )
        };
        if way > MOST_DEEP {
            return Err(too_deep());
        }
        let mut depth = usize::from(group.name != ALL);
        for parent in &group.parents {
            depth = depth.max(self.depth(*parent, known, way + 1)? + 1);
        }
        if depth > MOST_DEEP {
            return Err(too_deep());
        }
        if let Some(slot) = known.get_mut(at) {
            *slot = Some(depth);
        }
        Ok(depth)
    }

    /// All hosts in their order, each with all that holds for it. Settled before.
    pub(super) fn hosts(&self) -> impl Iterator<Item = anyhow::Result<Settled<'_>>> {
        let mut budget = Budget::default();
        let hosts = self.hosts.iter();
        hosts.map(move |host| self.settled(host, &mut budget))
    }

    fn settled<'a>(&'a self, host: &'a Host, budget: &mut Budget) -> anyhow::Result<Settled<'a>> {
        let mut within = HashSet::new();
        let mut open = host.groups.clone();
        while let Some(at) = open.pop() {
            budget.spend(1)?;
            if within.insert(at)
                && let Some(group) = self.groups.get(at)
            {
                open.extend(&group.parents);
            }
        }
        let named = |at: &usize| {
            let group = self.groups.get(*at);
            group.is_some_and(|group| group.name != ALL && group.name != UNGROUPED)
        };
        let mut chosen: Vec<usize> = within.into_iter().filter(named).collect();
        chosen.sort_unstable();
        let of = |at: &usize| self.groups.get(*at);
        let groups = chosen.iter().filter_map(of);
        let groups = groups.map(|group| group.name.clone()).collect();
        if chosen.is_empty() {
            chosen.extend(self.group_at.get(UNGROUPED));
        }
        let mut levels: Vec<&Group> = chosen.iter().filter_map(of).collect();
        levels.sort_by(|one, two| {
            let key = |group: &Group| (group.depth, priority(group));
            let (a, b) = (key(one), key(two));
            a.cmp(&b).then_with(|| one.name.cmp(&two.name))
        });
        // Ansible's VARIABLE_PRECEDENCE.
        let all = self.group_at.get(ALL).and_then(of);
        let mut vars = HashMap::new();
        let mut lay = |from: &'a Vars| vars.extend(from.iter());
        for group in all.iter().chain(&levels) {
            lay(&group.vars);
        }
        for group in all.iter().chain(&levels) {
            lay(&group.file_vars);
        }
        lay(&host.vars);
        lay(&host.file_vars);
        Ok(Settled {
            name: host.name.clone(),
            vars,
            groups,
        })
    }
}

/// `ansible_group_priority`, which counts among groups of one depth; 1 where nobody says.
fn priority(group: &Group) -> i64 {
    match group.vars.get("ansible_group_priority") {
        Some(Tree::Scalar(text)) => text.parse().unwrap_or(1),
        _ => 1,
    }
}

fn check_name(name: &str, what: &str) -> anyhow::Result<()> {
    if name.len() > MOST_BYTES {
        bail!("the name of a {what} is longer than {MOST_BYTES} bytes, which is the limit");
    }
    Ok(())
}

/// Groups one in the other.
const MOST_DEEP: usize = 64;
/// As of a name in the DNS.
const MOST_BYTES: usize = 255;
const ALL: &str = "all";
const UNGROUPED: &str = "ungrouped";
